"""A ranking that several baselines ask for is computed once for a request."""

from __future__ import annotations

import numpy as np

from replay.evaluate.baselines.contestant import Ranking
from replay.evaluate.baselines.fusion import DEPTH
from replay.evaluate.request import Request, Rows


class Memo:
    """Keeps the last answer of a ranking for as long as request and knowledge are the same."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking = ranking
        self._learned = 0
        self._request: Request | None = None
        self._rows: Rows = np.empty(0, np.int64)

    def learn(self, end: int) -> None:
        """Let the ranking learn the events before `end`."""
        if end != self._learned:
            self._learned, self._request = end, None
        self._ranking.learn(end)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the first k, at most `DEPTH` rows of the ranking."""
        if request is not self._request:
            self._request, self._rows = request, self._ranking.ranked(request, DEPTH)
        return self._rows[:k]
