"""One question to all contestants: what does this person do next?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

LIST_LENGTH: Final = 20

PRODUCT: Final = "product"
"""The contestant that the judging is about."""

Rows = NDArray[np.int64]
"""(n,) rows of the items of a log."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question in the middle of a log.

    Attributes:
        event: the event that is to be foreseen; only the judge may look at it.
        asked_at: the first event that nobody may know: all before it have happened.
        user: number of the user.
        now_ms: event time of the newest event before it.
        items: (h,) rows of the user's last interactions, newest first.
        types: (h,) codes of their event types.
        ages_s: (h,) float32, from each to the request.
        offered: (n_items,) bool: the item exists by now, and is none of `items`.
        seen: (s,) distinct rows that the user acted on before `items`, and that are not in them.
    """

    event: int
    asked_at: int
    user: int
    now_ms: int
    items: Rows
    types: NDArray[np.int64]
    ages_s: NDArray[np.float32]
    offered: NDArray[np.bool_]
    seen: Rows = field(default_factory=lambda: np.empty(0, np.int64))


class Contestant(Protocol):
    """Who is judged."""

    @property
    def name(self) -> str:
        """Return the name that the report uses."""
        ...

    def learn(self, end: int) -> None:
        """Learn the events of the log before `end`; `end` never falls."""
        ...

    def recommend(self, request: Request) -> Rows:
        """Return at most `LIST_LENGTH` distinct rows of those offered, best first."""
        ...
