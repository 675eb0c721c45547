"""What is visited of late in the categories of the item that this user visited last."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.popularity import MostOften
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.request import Request, Rows


class CategoryPopular:
    """Recent popularity within the categories of the last visit.

    Args:
        log: the log.
        popular: counts of recent visits.
    """

    def __init__(self, log: TrainingLog, popular: MostOften) -> None:
        self._log = log
        self._popular = popular
        members: defaultdict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(log.items):
            for category in item.categories:
                members[category].append(row)
        self._members = {name: np.array(rows, np.int64) for name, rows in members.items()}

    def learn(self, end: int) -> None:
        """Count the visits before `end`."""
        self._popular.learn(end)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows of these categories that were visited most."""
        inside = np.zeros(len(request.offered), bool)
        for last in last_visited(request, most=1)[0].tolist():
            for category in self._log.items[last].categories:
                inside[self._members[category]] = True
        counts = self._popular.counts
        allowed = request.offered & inside & (counts.of_item > 0)
        return best(counts.of_item + counts.recency, allowed, k)
