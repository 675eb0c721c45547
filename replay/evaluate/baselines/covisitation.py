"""Directional co-visitation: what people visited soon after the items that this user visited."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.maths.topk import top_k
from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Unlearned
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.request import Request, Rows

DISTANCE: Final = 10  # visits that a transition may span
FOLLOWERS: Final = 200  # kept for an item; twice as many between two cuts
QUERY_ITEMS: Final = 5


class Covisitation:
    """For each item, the decayed number of visits to others that followed one to it.

    A visit adds 1 / distance to each of the user's last visits, as in SR of Ludewig and Jannach,
    "Evaluation of session-based recommendation algorithms", 2018, but within a user rather
    than a session. Decay is forward (Cormode et al. 2009): new visits weigh more, so that
    no sum needs to be touched again.
    """

    def __init__(self, log: TrainingLog, half_life_s: float) -> None:
        self._log = log
        self._unlearned = Unlearned(log)
        self._half_life_ms = half_life_s * 1000
        self._recent: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=DISTANCE))
        self._followers: defaultdict[int, dict[int, float]] = defaultdict(dict)

    def learn(self, end: int) -> None:
        """Add the visits before `end` to what they followed."""
        log, visits = self._log, self._unlearned.until(end)
        weights = np.exp2((log.ts_ms[visits] - log.ts_ms[0]) / self._half_life_ms)
        columns = log.user[visits].tolist(), log.item[visits].tolist(), weights.tolist()
        for user, item, weight in zip(*columns, strict=True):
            recent = self._recent[user]
            for distance, previous in enumerate(recent, start=1):
                followers = self._followers[previous]
                followers[item] = followers.get(item, 0.0) + weight / distance
                if len(followers) > 2 * FOLLOWERS:
                    self._followers[previous] = _heaviest(followers)
            recent.appendleft(item)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows that followed most, summed over the user's last distinct items."""
        scores = np.zeros(len(request.offered))
        for item, weight in zip(*last_visited(request, QUERY_ITEMS), strict=True):
            rows, weights = _columns(self._followers.get(int(item), {}))
            scores[rows] += weight * weights
        return best(scores, request.offered & (scores > 0), k)


def _heaviest(followers: dict[int, float]) -> dict[int, float]:
    rows, weights = _columns(followers)
    kept = top_k(weights, FOLLOWERS)
    return dict(zip(rows[kept].tolist(), weights[kept].tolist(), strict=True))


def _columns(followers: dict[int, float]) -> tuple[Rows, NDArray[np.float64]]:
    """Return the (n,) rows, ascending, and their weights."""
    rows = np.fromiter(followers, np.int64, len(followers))
    weights = np.fromiter(followers.values(), np.float64, len(followers))
    order = np.argsort(rows)
    return rows[order], weights[order]
