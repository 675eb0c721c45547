"""Where people went next from the item that this user visited last: a Markov chain of order 1."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Unlearned
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.popularity import MostOften
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.request import Request, Rows


class Transitions:
    """Counts of all time from each item to the one that the same user visited next.

    Equal counts, most of them 1 in a large catalogue, are in the order of recent popularity.

    Args:
        log: the log.
        popular: counts of recent visits; it learns by itself.
    """

    def __init__(self, log: TrainingLog, popular: MostOften) -> None:
        self._log = log
        self._popular = popular
        self._unlearned = Unlearned(log)
        self._last: dict[int, int] = {}
        self._next: defaultdict[int, Counter[int]] = defaultdict(Counter)

    def learn(self, end: int) -> None:
        """Count the transitions that visits before `end` made."""
        self._popular.learn(end)
        visits = self._unlearned.until(end)
        users, items = self._log.user[visits].tolist(), self._log.item[visits].tolist()
        for user, item in zip(users, items, strict=True):
            previous = self._last.get(user)
            if previous is not None:
                self._next[previous][item] += 1
            self._last[user] = item

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows that most often came next."""
        counts = np.zeros(len(request.offered))
        for last in last_visited(request, most=1)[0].tolist():
            for item, count in self._next.get(last, {}).items():
                counts[item] = count
        recent = self._popular.counts.of_item  # at most the window: a share of it is below 1
        ties = recent / (1 + self._popular.counts.learned)
        return best(counts + ties, request.offered & (counts > 0), k)
