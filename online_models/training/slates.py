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

from freshet.core.events.schema import CLICK, IMPRESSION, REJECTION
from online_models.tasks import CONVERSION, DWELL_S, TASKS
from online_models.training.histories import Histories, thinned
from online_models.training.log import TrainingLog

Rows = NDArray[np.int64]

_OPEN_MS: Final = 1_800_000  # after a slate: a click until then answers it


@dataclass(frozen=True, slots=True)
class Slate:
    """What a user was shown at one time.

    Attributes:
        event: one of its impressions.
        asked_at: the first event that nobody may know.
        closed_at: the first event that no click on it can follow.
        items: (k,) distinct rows.
        labels: (k, T) bool.
    """

    event: int
    asked_at: int
    closed_at: int
    items: Rows
    labels: NDArray[np.bool_]

    @property
    def clicked(self) -> NDArray[np.bool_]:
        """(k,) bool."""
        return self.labels[:, 0]


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
        self._labels = self._labelled(histories)
        self.impressions: Rows = np.sort(self._events)
        answers = np.isin(answered, self._slots, assume_unique=True)
        self.clicks: Rows = np.sort(clicks[first[answers]])

    def between(self, start: int, end: int, most: int) -> list[Slate]:
        """Return slates, evenly spread, in the order in which they were asked for.

        Those of the last half an hour are left out, since not all of their clicks have come.

        Args:
            start: none was asked for before this event.
            end: the event behind the last that may be known of.
            most: how many at most.
        """
        log = self._log
        slates, items = np.divmod(self._slots, len(log.items))
        first = np.flatnonzero(np.diff(slates, prepend=-1))
        asked_at = slates[first] // log.n_users
        open_until_ms = log.ts_ms[self._events[first]] + _OPEN_MS
        closed_at = np.searchsorted(log.ts_ms, open_until_ms, side="right")
        behind = np.append(first, len(slates))[1:]
        closed = open_until_ms <= log.ts_ms[end - 1]
        kept = thinned(np.flatnonzero(closed & (asked_at >= start)), most)
        return [
            Slate(
                event=int(self._events[first[slate]]),
                asked_at=int(asked_at[slate]),
                closed_at=int(closed_at[slate]),
                items=items[first[slate] : behind[slate]],
                labels=self._labels[first[slate] : behind[slate]],
            )
            for slate in kept.tolist()
        ]

    def _labelled(self, histories: Histories) -> NDArray[np.bool_]:
        """Return (n, T) bool: what became of each slot, by the events that answer it."""
        log, n = self._log, len(self._slots)
        if not n:
            return np.zeros((0, len(TASKS)), np.bool_)
        events = np.flatnonzero(log.kind != IMPRESSION)
        named = self._slot(events, histories.asked_at[events])
        slots = np.minimum(np.searchsorted(self._slots, named), n - 1)
        answers = self._slots[slots] == named
        events, slots = events[answers], slots[answers]
        kinds = log.kind[events]

        def had(some: NDArray[np.bool_]) -> NDArray[np.bool_]:
            return np.bincount(slots[some], minlength=n) > 0

        clicked = had(kinds == CLICK)
        dwelt = np.bincount(slots, log.dwell_s[events], minlength=n) >= DWELL_S
        return np.column_stack(
            [clicked, clicked & dwelt, clicked & had(CONVERSION[kinds]), had(REJECTION[kinds])]
        )

    def _slot(self, events: Rows, asked_at: Rows) -> Rows:
        """Return (n,) numbers of the slots of events: in the order of time, user and item."""
        log = self._log
        # No overflow: events, users and items may be two millions each.
        return (asked_at * log.n_users + log.user[events]) * len(log.items) + log.item[events]
