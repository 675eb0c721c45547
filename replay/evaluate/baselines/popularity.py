"""What is the same for everyone: chance, any order, and what is visited, shown or new of late."""

from __future__ import annotations

from typing import Final

import numpy as np

from freshet.core.events.schema import IMPRESSION
from online_models.training.log import TARGET, TrainingLog
from replay.evaluate.baselines.numbering import best
from replay.evaluate.item_counts import ItemCounts
from replay.evaluate.request import Request, Rows

RATE_STRENGTH: Final = 20.0  # impressions that the rate of all items weighs in that of one


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


class MostOften:
    """The items that occur most among the last `window` of some events, or among all.

    Of two that occur equally often, the one whose last event is newer comes first.

    Args:
        log: the log.
        events: (m,) which of its events count, ascending.
        window: how many of the newest; None = all.
    """

    def __init__(self, log: TrainingLog, events: Rows, window: int | None = None) -> None:
        self.counts = ItemCounts(log, events, window)

    def learn(self, end: int) -> None:
        """Count the events before `end`, and no longer those behind the window."""
        self.counts.learn(end)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows that occur most."""
        counts = self.counts.of_item  # whole numbers, so that a share breaks ties alone
        return best(counts + self.counts.recency, request.offered & (counts > 0), k)


class Popular(MostOften):
    """The items with the most visits."""

    def __init__(self, log: TrainingLog, window: int | None = None) -> None:
        super().__init__(log, np.flatnonzero(TARGET[log.kind]), window)


class ShownLately(MostOften):
    """The items with the most impressions: whoever decides what is shown often knows why."""

    def __init__(self, log: TrainingLog, window: int | None = None) -> None:
        super().__init__(log, np.flatnonzero(log.kind == IMPRESSION), window)


class ClickedOfShown:
    """The items with the biggest smoothed click rate among the last impressions, or among all.

    Args:
        log: the log.
        window: how many of the newest impressions; visits count since the oldest of them.
    """

    def __init__(self, log: TrainingLog, window: int | None = None) -> None:
        self._shown = ItemCounts(log, np.flatnonzero(log.kind == IMPRESSION), window)
        self._visits = ItemCounts(log, np.flatnonzero(TARGET[log.kind]))
        self._windowed = window is not None

    def learn(self, end: int) -> None:
        """Count the impressions and visits before `end`."""
        self._shown.learn(end)
        self._visits.learn(end, self._shown.oldest if self._windowed else 0)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows with the biggest rates, of those that were visited."""
        visits, shown = self._visits.of_item, self._shown.of_item
        rate = (visits.sum() + 1) / (shown.sum() + 2)
        rates = (visits + RATE_STRENGTH * rate) / (np.maximum(shown, visits) + RATE_STRENGTH)
        return best(rates, request.offered & (visits > 0), k)


class Newest:
    """The items that began to exist last."""

    def __init__(self, log: TrainingLog) -> None:
        self._exists_from = log.exists_from().astype(np.float64)

    def learn(self, end: int) -> None:
        """Learn nothing: what does not exist yet is not offered."""

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k newest rows."""
        return best(self._exists_from, request.offered, k)
