"""Session kNN, online: what was visited in the sessions that resemble this user's last visits."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.maths.topk import top_k
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.baselines.sessions import SESSION_LENGTH, Sessions
from replay.evaluate.request import Request, Rows

NEIGHBOURS: Final = 200
QUERY_ITEMS: Final = 5
RECENCY_S: Final = 30 * 86_400.0  # a session so old counts 1/e
SPREAD: Final = 3.0  # an item so many places from a shared one counts 1/e


class SessionKnn:
    """V-SkNN with two factors of STAN: the age of a session, and nearness to what is shared.

    The similarity of a session is the sum of the weights of the query's items in it (Ludewig and
    Jannach, "Evaluation of session-based recommendation algorithms", 2018) times
    exp(-age / `RECENCY_S`). An item's score is the sum over the nearest sessions of similarity
    times exp(-distance / `SPREAD`), the distance counted in places from the newest item of the
    query (Garg et al., "Sequence and time aware neighborhood for session-based recommendations:
    STAN", SIGIR 2019, which has these factors). Unlike there, long sessions are not marked down,
    which foresaw less on most logs, and a query goes back behind the user's present session, which
    is often empty. Of equally similar sessions, those begun later are nearer.
    """

    def __init__(self, log: TrainingLog, session_gap_s: float) -> None:
        self._sessions = Sessions(log, session_gap_s)

    def learn(self, end: int) -> None:
        """Learn the sessions before `end`."""
        self._sessions.learn(end)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows with most weight in the nearest sessions."""
        query, weights = last_visited(request, QUERY_ITEMS)
        sessions, similarities = self._nearest(query, weights, request.now_ms)
        items = self._sessions.items(sessions)  # (n, SESSION_LENGTH)
        nearness = similarities[:, None] * _nearness(items, query, len(request.offered))
        used = items >= 0
        scores = np.zeros(len(request.offered))
        np.add.at(scores, items[used], nearness[used])
        return best(scores, request.offered & (scores > 0), k)

    def _nearest(
        self, query: Rows, weights: NDArray[np.float64], now_ms: int
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Return the (n,) most similar sessions, and their similarities."""
        found = [self._sessions.of_item(item) for item in query.tolist()]
        candidates, at = np.unique(
            np.concatenate([np.empty(0, np.int64), *found]), return_inverse=True
        )
        shared = np.zeros(len(candidates))
        np.add.at(shared, at, np.repeat(weights, [len(each) for each in found]))
        age_s = (now_ms - self._sessions.last_ms(candidates)) / 1000
        similarities = shared * np.exp(-age_s / RECENCY_S)
        newest_first = np.arange(len(candidates))[::-1]
        nearest = newest_first[top_k(similarities[newest_first], NEIGHBOURS)]
        return candidates[nearest], similarities[nearest]


def _nearness(items: NDArray[np.int32], query: Rows, n_items: int) -> NDArray[np.float64]:
    """Return (n, SESSION_LENGTH) factors by the distance to the newest item of the query."""
    age = np.full(n_items + 1, len(query))  # the last one is for -1, behind the end of a session
    age[query] = np.arange(len(query))
    shared_at = age[items].argmin(axis=1)
    distance = np.abs(np.arange(SESSION_LENGTH) - shared_at[:, None])
    return np.asarray(np.exp(-distance / SPREAD))
