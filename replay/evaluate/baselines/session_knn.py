"""Session kNN, online: what was visited in the sessions that resemble this user's last visits."""

from __future__ import annotations

from typing import Final

import numpy as np

from online_models.session_index import SessionIndex
from online_models.session_knn import QUERY_ITEMS, session_votes
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Unlearned
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.request import Request, Rows

SESSIONS_KEPT: Final = 100_000  # of all users; the oldest go first


class SessionKnn:
    """The product's own formula, fed with every visit at once and asked alone."""

    def __init__(self, log: TrainingLog) -> None:
        self._log = log
        self._unlearned = Unlearned(log)
        self._index = SessionIndex(min(SESSIONS_KEPT, len(log)))

    def learn(self, end: int) -> None:
        """Learn the sessions of the visits before `end`."""
        log, visits = self._log, self._unlearned.until(end)
        columns = log.user[visits].tolist(), log.item[visits].tolist(), log.ts_ms[visits].tolist()
        for user, item, ts_ms in zip(*columns, strict=True):
            self._index.visit(user, item, ts_ms / 1000)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows with most weight in the nearest sessions."""
        query, _ = last_visited(request, QUERY_ITEMS)
        rows, votes = session_votes(self._index, query, request.now_ms / 1000)
        scores = np.zeros(len(request.offered))
        scores[rows] = votes
        return best(scores, request.offered & (scores > 0), k)
