"""What a user acted on before the history, met with what they do now.

Whoever buys the same things again buys them in much the same order. So an item of the past is near
when it stands close to where the items of the last visits stand there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.sources import visit_weights
from serving.item_table import Rows

REACH: Final = 5
"""Interactions, on either side, that are close to one."""

_CLOSENESS: Final = 1 / (1 + np.abs(np.arange(-REACH, REACH + 1)))


@dataclass(frozen=True, slots=True)
class Past:
    """The past of a user.

    Attributes:
        sequence: (s,) rows of the items in the order of time, newest first.
        rows: (n,) distinct rows that are not in the history, ascending.
        times: (n,) how often each stands in the sequence.
    """

    sequence: Rows
    rows: Rows
    times: NDArray[np.int64]

    @classmethod
    def of(cls, sequence: Rows, history: Rows) -> Past:
        """Return a past.

        Args:
            sequence: (s,) rows, newest first; -1 for an item without one.
            history: rows of the history.
        """
        sequence = sequence[sequence >= 0]
        rows, times = np.unique(sequence, return_counts=True)
        new = ~np.isin(rows, history)
        return cls(sequence, rows[new], times[new])

    def times_at(self, rows: Rows) -> NDArray[np.int64]:
        """Return how often each of (n,) rows stands in the past, 0 for one of the history."""
        if not len(self.rows):
            return np.zeros(len(rows), np.int64)
        place, own = self._places(rows)
        return np.where(own, self.times[place], 0)

    def nearness(self, last_visits: list[int]) -> NDArray[np.float64]:
        """Return how near each of `rows` is to the last visits.

        The sum, over all places of the item and all places of the last visits within `REACH`, of
        the weight of the visit by 1 + the distance of the two.

        Args:
            last_visits: distinct rows, newest first.

        Returns:
            (n,) in the order of `rows`.
        """
        weights = np.zeros(len(self.sequence))
        for row, weight in zip(last_visits, visit_weights(len(last_visits)), strict=True):
            weights[self.sequence == row] = weight
        if not len(self.rows) or not weights.any():
            return np.zeros(len(self.rows))
        near = np.convolve(weights, _CLOSENESS)[REACH : REACH + len(weights)]
        place, own = self._places(self.sequence)
        return np.asarray(np.bincount(place[own], near[own], len(self.rows)), np.float64)

    def _places(self, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return where (n,) rows stand in `rows`, which are some, and whether they do."""
        place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return place, self.rows[place] == rows
