"""How often each item occurs among some events of a log, counted as the log is lived."""

from __future__ import annotations

from typing import Final

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.request import Rows

_STEP: Final = 2.0**-32  # not a share of all events: how many will come, nobody knows


class ItemCounts:
    """Counts the items of some events, or of the newest of them.

    Args:
        log: the log.
        events: (m,) which of its events count, ascending.
        window: how many of the newest; None = all.

    Attributes:
        of_item: (n_items,) float64 counts.
        recency: (n_items,) in [0, 1), bigger the later the newest of the events of the item was.
        learned: of the events, those that have happened.
    """

    def __init__(self, log: TrainingLog, events: Rows, window: int | None = None) -> None:
        self._events, self._items = events, log.item[events]
        self._window = len(events) if window is None else window
        self.of_item = np.zeros(len(log.items))
        self.recency = np.zeros(len(log.items))
        self.learned = 0
        self._forgotten = 0

    @property
    def counted(self) -> int:
        """Return how many events are counted now."""
        return self.learned - self._forgotten

    @property
    def oldest(self) -> int:
        """Return the oldest of the events that are counted; 0 without any."""
        return int(self._events[self._forgotten]) if self.learned > self._forgotten else 0

    def learn(self, end: int, start: int = 0) -> None:
        """Count the events before `end`, and no longer those behind the window.

        Args:
            end: first event that has not happened; it never falls.
            start: events before it are no longer counted either; it never falls.
        """
        before, self.learned = self.learned, int(np.searchsorted(self._events, end))
        behind = max(self.learned - self._window, int(np.searchsorted(self._events, start)))
        behind = min(max(behind, self._forgotten), self.learned)
        forgotten, self._forgotten = slice(self._forgotten, behind), behind
        np.add.at(self.of_item, self._items[before : self.learned], 1)
        np.subtract.at(self.of_item, self._items[forgotten], 1)
        # Of several events of one item, the value that is assigned last stays.
        new = np.arange(before, self.learned)
        self.recency[self._items[new]] = (new + 1) * _STEP
