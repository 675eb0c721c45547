"""What people were shown, and what they clicked on of it.

Law: a slate is what one user was shown at one time, and it is asked for before that time: nothing
that happened then is known, wherever it stands in the file. A click answers the impression that
`Histories` says it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import CLICK, IMPRESSION
from online_models.training.histories import Histories, thinned
from online_models.training.log import TrainingLog
from replay.evaluate.request import Rows

_OPEN_MS: Final = 1_800_000  # after a slate: a click until then answers it


@dataclass(frozen=True, slots=True)
class Slate:
    """What a user was shown at one time.

    Attributes:
        event: one of its impressions.
        asked_at: the first event that nobody may know.
        items: (k,) distinct rows.
        clicked: (k,) bool.
    """

    event: int
    asked_at: int
    items: Rows
    clicked: NDArray[np.bool_]


class Slates:
    """The slates of a log.

    Attributes:
        impressions: (n,) events, ascending; of an item that a slate holds twice only the first.
        clicks: (m,) events, ascending; of several that answer one impression only the first.
    """

    def __init__(self, log: TrainingLog, histories: Histories) -> None:
        self._log = log
        shown = np.flatnonzero(log.kind == IMPRESSION)
        asked_at = np.searchsorted(log.ts_ms, log.ts_ms[shown])
        self._slots, first = np.unique(self._slot(shown, asked_at), return_index=True)
        self._events = shown[first]
        clicks = np.flatnonzero(log.kind == CLICK)
        answered, first = np.unique(
            self._slot(clicks, histories.asked_at[clicks]), return_index=True
        )
        self._clicked = np.isin(self._slots, answered, assume_unique=True)
        self.impressions: Rows = np.sort(self._events)
        answers = np.isin(answered, self._slots, assume_unique=True)
        self.clicks: Rows = np.sort(clicks[first[answers]])

    def between(self, start: int, most: int) -> list[Slate]:
        """Return slates, evenly spread, in the order in which they were asked for.

        Those of the last half an hour are left out, since the log ends before all of their clicks.

        Args:
            start: none was asked for before this event.
            most: how many at most.
        """
        log = self._log
        slates, items = np.divmod(self._slots, len(log.items))
        first = np.flatnonzero(np.diff(slates, prepend=-1))
        asked_at = slates[first] // log.n_users
        closed = log.ts_ms[self._events[first]] <= log.ts_ms[-1] - _OPEN_MS
        end = np.append(first, len(slates))[1:]
        kept = thinned(np.flatnonzero(closed & (asked_at >= start)), most)
        return [
            Slate(
                event=int(self._events[first[slate]]),
                asked_at=int(asked_at[slate]),
                items=items[first[slate] : end[slate]],
                clicked=self._clicked[first[slate] : end[slate]],
            )
            for slate in kept.tolist()
        ]

    def _slot(self, events: Rows, asked_at: Rows) -> Rows:
        """Return (n,) numbers of the slots of events: in the order of time, user and item."""
        log = self._log
        # No overflow: events, users and items may be two millions each.
        return (asked_at * log.n_users + log.user[events]) * len(log.items) + log.item[events]
