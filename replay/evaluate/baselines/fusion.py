"""Several rankings as one, by ranks alone."""

from __future__ import annotations

from typing import Final

import numpy as np

from replay.evaluate.baselines.contestant import Ranking
from replay.evaluate.baselines.numbering import best
from replay.evaluate.request import Request, Rows

DEPTH: Final = 100  # of each ranking
RANK_OFFSET: Final = 5  # the paper's 60 is for lists of a thousand


class Fusion:
    """Reciprocal rank fusion: the sum of 1 / (`RANK_OFFSET` + rank), ranks from 1.

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods", SIGIR 2009.
    """

    def __init__(self, *rankings: Ranking) -> None:
        self._rankings = rankings

    def learn(self, end: int) -> None:
        """Let all learn the events before `end`."""
        for ranking in self._rankings:
            ranking.learn(end)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows that the rankings agree on most."""
        scores = np.zeros(len(request.offered))
        for ranking in self._rankings:
            rows = ranking.ranked(request, DEPTH)
            scores[rows] += 1 / (RANK_OFFSET + 1 + np.arange(len(rows)))
        return best(scores, scores > 0, k)
