"""Requests in the middle of a log, as the product would have ranked them, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.artifacts.bundle import Bundle
from online_models.tasks import TASKS
from online_models.training.labels import NEVER
from online_models.training.shown import Shown
from online_models.training.slates import Slate

KEPT_CANDIDATES: Final = 150
"""Of an exposure, for a ranker to learn from: the right one and others at random."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One request, as it was ranked, and what the user then did.

    Attributes:
        event: the event that followed.
        target: index of its item among the candidates, -1 when no source had found it.
        features: (n, F) float16, as they are logged.
        ranks: (n, n_sources) rank within each source, -1 = not found by it.
        followed_at: (T - 1,) the event with which each further task came true of the target,
            `NEVER` where none did. All of it came after the request: it is never a feature.
    """

    event: int
    target: int
    features: NDArray[np.float16]
    ranks: NDArray[np.int16]
    followed_at: tuple[int, ...] = (NEVER,) * (len(TASKS) - 1)

    @property
    def labels(self) -> tuple[bool, ...]:
        """Return (T,) which tasks came true of the target; that it was acted on, always did."""
        return True, *(at != NEVER for at in self.followed_at)

    def known_before(self, end: int) -> Exposure:
        """Return it with what came of it before an event."""
        known = tuple(at if at < end else NEVER for at in self.followed_at)
        return replace(self, followed_at=known)

    def thinned(self, rng: np.random.Generator) -> Exposure:
        """Return it with at most `KEPT_CANDIDATES` of its candidates, the right one first."""
        n = len(self.features)
        if self.target < 0 or n <= KEPT_CANDIDATES:
            return self
        others = rng.choice(n - 1, KEPT_CANDIDATES - 1, replace=False)
        kept = np.r_[self.target, others + (others >= self.target)]
        return replace(self, target=0, features=self.features[kept], ranks=self.ranks[kept])


class Life(Protocol):
    """A log that is lived through the folds and the funnel of the product."""

    def use(self, bundle: Bundle) -> None:
        """Use a bundle from now on."""
        ...

    def expose(self, event: int) -> Exposure:
        """Live on to where an event was asked for, and return how its request is ranked.

        Args:
            event: none was asked for before that of an earlier call.
        """
        ...

    def show(self, slate: Slate) -> Shown:
        """Live on to where a slate was asked for, and return how it is ranked.

        Args:
            slate: not asked for before what was asked for last.
        """
        ...

    def close(self) -> None:
        """End the life."""
        ...
