"""What a baseline is made of: rankings, each behind what the one before it knows."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from online_models.training.log import TARGET, TrainingLog
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.request import LIST_LENGTH, Request, Rows


class Ranking(Protocol):
    """One idea of what comes next; in the rows of `Numbering`."""

    def learn(self, end: int) -> None:
        """Learn the events before `end` that it has not learned yet; `end` never falls."""
        ...

    def ranked(self, request: Request, k: int) -> Rows:
        """Return at most k distinct rows that are known and offered, best first."""
        ...


class Ranked:
    """A contestant that lists what its first ranking knows, then what the second does, and so on.

    Rankings may be shared between contestants: whoever asks first lets them learn.
    """

    def __init__(self, name: str, numbering: Numbering, *rankings: Ranking) -> None:
        self._name = name
        self._numbering = numbering
        self._rankings = rankings

    @property
    def name(self) -> str:
        """Return the name that the report uses."""
        return self._name

    def learn(self, end: int) -> None:
        """Learn the events of the log before `end`."""
        for ranking in self._rankings:
            ranking.learn(end)

    def recommend(self, request: Request) -> Rows:
        """Return `LIST_LENGTH` distinct rows of those offered, fewer when fewer are offered."""
        own = self._numbering.request(request)
        listed: dict[int, None] = {}
        for ranking in self._rankings:
            # The first LIST_LENGTH of each suffice: what is already listed hides no more of them.
            listed |= dict.fromkeys(ranking.ranked(own, LIST_LENGTH).tolist())
            if len(listed) >= LIST_LENGTH:
                break
        return self._numbering.original[np.fromiter(listed, np.int64)[:LIST_LENGTH]]


class Unlearned:
    """The visits of a log that are still to be learned: events of the types in `TARGET`."""

    def __init__(self, log: TrainingLog) -> None:
        self._visits = np.flatnonzero(TARGET[log.kind])
        self._learned = 0

    def until(self, end: int) -> Rows:
        """Return the visits before the event `end` that were not returned before."""
        start = self._learned
        self._learned = max(start, int(np.searchsorted(self._visits, end)))
        return self._visits[start : self._learned]
