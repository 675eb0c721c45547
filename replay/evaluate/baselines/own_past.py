"""What the user visited before: whoever buys often buys the same again."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Unlearned
from replay.evaluate.request import Request, Rows


class OwnPast:
    """The items that the user visited most often, of those that are on offer to them.

    An item of the last interactions never is; one from before them may be. Equal counts are in the
    order of the last visits, the newest first.
    """

    def __init__(self, log: TrainingLog) -> None:
        self._log = log
        self._unlearned = Unlearned(log)
        self._visited: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self._last: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def learn(self, end: int) -> None:
        """Count the visits before `end`."""
        visits = self._unlearned.until(end)
        users, items = self._log.user[visits].tolist(), self._log.item[visits].tolist()
        for event, user, item in zip(visits.tolist(), users, items, strict=True):
            self._visited[user][item] += 1
            self._last[user][item] = event

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows that the user visited most often."""
        counts = self._visited.get(request.user, Counter())
        last = self._last.get(request.user, {})
        rows = [row for row in counts if request.offered[row]]
        rows.sort(key=lambda row: (-counts[row], -last[row]))
        return np.array(rows[:k], np.int64)
