"""What is the same for everyone: chance, popularity of all time and of late, and any order."""

from __future__ import annotations

import numpy as np

from online_models.training.log import TARGET, TrainingLog
from replay.evaluate.baselines.numbering import best
from replay.evaluate.item_counts import ItemCounts
from replay.evaluate.request import Request, Rows


class Chance:
    """Any of the offered items, drawn anew for each request."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def learn(self, end: int) -> None:
        """Learn nothing."""

    def ranked(self, request: Request, k: int) -> Rows:
        """Return k rows; the same for the same user at the same event."""
        rng = np.random.default_rng((self._seed, request.asked_at, request.user))
        offered = np.flatnonzero(request.offered)
        return rng.choice(offered, min(k, len(offered)), replace=False)


class AnyOrder:
    """All that is offered in the order of the hashes, so that no list is short."""

    def learn(self, end: int) -> None:
        """Learn nothing."""

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the first k rows."""
        return np.flatnonzero(request.offered)[:k]


class Popular:
    """The items with the most visits among the last `window`, or among all."""

    def __init__(self, log: TrainingLog, window: int | None = None) -> None:
        self._visits = ItemCounts(log, np.flatnonzero(TARGET[log.kind]), window)

    def learn(self, end: int) -> None:
        """Count the visits before `end`, and no longer those behind the window."""
        self._visits.learn(end)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows visited most."""
        counts = self._visits.of_item
        return best(counts, request.offered & (counts > 0), k)
