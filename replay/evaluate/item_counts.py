"""How often each item occurs among some events of a log, counted as the log is lived."""

from __future__ import annotations

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.request import Rows


class ItemCounts:
    """Counts the items of some events, or of the newest of them.

    Args:
        log: the log.
        events: (m,) which of its events count, ascending.
        window: how many of the newest; None = all.

    Attributes:
        of_item: (n_items,) float64 counts.
        learned: of the events, those that have happened.
    """

    def __init__(self, log: TrainingLog, events: Rows, window: int | None = None) -> None:
        self._events, self._items = events, log.item[events]
        self._window = len(events) if window is None else window
        self.of_item = np.zeros(len(log.items))
        self.learned = 0

    def learn(self, end: int) -> None:
        """Count the events before `end`, and no longer those behind the window; it never falls."""
        before, self.learned = self.learned, int(np.searchsorted(self._events, end))
        forgotten = slice(max(before - self._window, 0), max(self.learned - self._window, 0))
        np.add.at(self.of_item, self._items[before : self.learned], 1)
        np.subtract.at(self.of_item, self._items[forgotten], 1)
