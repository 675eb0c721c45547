"""What each user had done before an event: the input of a request at that moment.

Law: what a request may know ends when it was asked. Where the log holds the impression that an
event answers, that is the time of the impression: by the event itself, the item has been shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import ENCODED, IMPRESSION, INTERACTION, REJECTION
from freshet.core.state.records import HISTORY_LENGTH
from online_models.training.log import TARGET, TrainingLog

_ANSWER_WITHIN_MS = 1_800_000  # a later click did not come from this impression


@dataclass(frozen=True, slots=True)
class HistoryBatch:
    """The histories of n requests, newest first.

    Attributes:
        items: (n, HISTORY_LENGTH) rows of items, 0 behind the end.
        types: (n, HISTORY_LENGTH) codes of their events.
        ages_s: (n, HISTORY_LENGTH) float32, from each event to the request.
        mask: (n, HISTORY_LENGTH) bool, where there is an event.
    """

    items: NDArray[np.int64]
    types: NDArray[np.int64]
    ages_s: NDArray[np.float32]
    mask: NDArray[np.bool_]


class Histories:
    """Finds histories in a log.

    Attributes:
        asked_at: (n,) the first event that the request behind each event could not know.
    """

    def __init__(self, log: TrainingLog) -> None:
        self._log = log
        interactions = np.flatnonzero(INTERACTION[log.kind])
        order = np.argsort(log.user[interactions], kind="stable")
        self._events = interactions[order]
        self._keys = log.user[self._events] * len(log) + self._events  # ascending
        self._exists_from = log.exists_from()
        self.asked_at = _asked_at(log)

    def before(self, events: NDArray[np.int64]) -> HistoryBatch:
        """Return the histories of the users of n events when these were asked for."""
        log = self._log
        users, asked = log.user[events], self.asked_at[events]
        starts = np.searchsorted(self._keys, users * len(log))
        ends = np.searchsorted(self._keys, users * len(log) + asked)
        at = ends[:, None] - 1 - np.arange(HISTORY_LENGTH)  # (n, HISTORY_LENGTH)
        mask = at >= starts[:, None]
        found = self._events[np.where(mask, at, 0)]
        ages_s = np.where(mask, log.ts_ms[asked][:, None] - log.ts_ms[found], 0) / 1000
        return HistoryBatch(
            items=np.where(mask, log.item[found], 0),
            types=np.where(mask, log.kind[found], 0),
            ages_s=ages_s.astype(np.float32),
            mask=mask,
        )

    def seen(self, event: int) -> NDArray[np.int64]:
        """Return the distinct rows that the user of an event had acted on when it was asked for."""
        user, asked = self._log.user[event], self.asked_at[event]
        start, end = np.searchsorted(
            self._keys, [user * len(self._log), user * len(self._log) + asked]
        )
        return np.unique(self._log.item[self._events[start:end]])

    def available(self, event: int) -> NDArray[np.bool_]:
        """Return (n_items,) which items existed when an event was asked for."""
        return np.asarray(self._exists_from <= self.asked_at[event])

    def requests(self, start: int, end: int, most: int) -> NDArray[np.int64]:
        """Return events to be foreseen: first visits of a user to an item, evenly spread.

        Args:
            start: none was asked for before this event.
            end: the event behind the last.
            most: how many at most.

        Returns:
            Events in the order in which they were asked for.
        """
        events = start + np.flatnonzero(TARGET[self._log.kind[start:end]])
        candidates = thinned(events, 4 * most)
        batch = self.before(candidates)
        repeated = (batch.mask & (batch.items == self._log.item[candidates][:, None])).any(axis=1)
        kept = candidates[~repeated & (self.asked_at[candidates] >= start)]
        return thinned(kept[np.argsort(self.asked_at[kept], kind="stable")], most)

    def rejections(self, start: int, end: int, most: int) -> NDArray[np.int64]:
        """Return events that reject an item, evenly spread; see `requests` for the arguments."""
        events = start + np.flatnonzero(REJECTION[self._log.kind[start:end]])
        kept = events[self.asked_at[events] >= start]
        return thinned(kept[np.argsort(self.asked_at[kept], kind="stable")], most)


def encoded(batch: HistoryBatch) -> HistoryBatch:
    """Return histories as the encoder reads them: without rejections and skips, see `ENCODED`.

    What is left moves up, so that no position is empty before the end, as when serving asks.
    """
    kept = batch.mask & ENCODED[batch.types]
    order = np.argsort(~kept, axis=1, kind="stable")
    mask = np.take_along_axis(kept, order, axis=1)

    def moved(values: NDArray[Any]) -> NDArray[Any]:
        return np.where(mask, np.take_along_axis(values, order, axis=1), 0)

    ages_s = moved(batch.ages_s).astype(np.float32)
    return HistoryBatch(moved(batch.items), moved(batch.types), ages_s, mask)


def _asked_at(log: TrainingLog) -> NDArray[np.int64]:
    """Return (n,) where the slate that an event answers begins; the event itself without one."""
    order = np.lexsort((log.item, log.user))  # stable: each pair in the order of time
    user, item = log.user[order], log.item[order]
    first_of_pair = np.r_[True, (user[1:] != user[:-1]) | (item[1:] != item[:-1])]
    place = np.arange(len(log))
    pair_start = np.maximum.accumulate(np.where(first_of_pair, place, 0))
    shown = np.maximum.accumulate(np.where(log.kind[order] == IMPRESSION, place, -1))
    impression, event = order[np.maximum(shown, 0)], order
    answers = (shown >= pair_start) & (
        log.ts_ms[event] - log.ts_ms[impression] <= _ANSWER_WITHIN_MS
    )
    asked_at = place.copy()
    # All impressions of a slate carry its time, and nothing at that time was known to it.
    slate_start = np.searchsorted(log.ts_ms, log.ts_ms[impression[answers]])
    asked_at[event[answers]] = slate_start
    return asked_at


def thinned(events: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many events, evenly spread over the given ones.

    >>> thinned(np.arange(10), 4).tolist()
    [0, 3, 6, 9]
    """
    if len(events) <= most:
        return events
    kept: NDArray[np.int64] = events[np.linspace(0, len(events) - 1, most).astype(np.int64)]
    return kept
