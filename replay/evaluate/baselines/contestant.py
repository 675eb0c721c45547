"""What a baseline is made of: rankings, each behind what the one before it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Playing:
    """How much of what a contestant listed was its own idea.

    Attributes:
        own_share: share of the requests for which its own ranking listed something; in the others
            its list is what stands behind it, popularity.
        trainings: of its model so far; None for a method that learns every event at once.
    """

    own_share: float
    trainings: int | None

    @property
    def played(self) -> bool:
        """Whether its own ranking ever listed anything."""
        return self.own_share > 0


class Ranked:
    """A contestant that lists what its first ranking knows, then what the second does, and so on.

    Rankings may be shared between contestants: whoever asks first lets them learn.

    Args:
        name: that the report uses.
        numbering: of the items.
        rankings: the first is its own idea.
        trainings: returns how often the model of the first was trained; None without a model.
    """

    def __init__(
        self,
        name: str,
        numbering: Numbering,
        *rankings: Ranking,
        trainings: Callable[[], int] | None = None,
    ) -> None:
        self._name = name
        self._numbering = numbering
        self._rankings = rankings
        self._trainings = trainings
        self._asked = self._own = 0
        self._last: tuple[Request, int, Rows] | None = None
        self._learned = 0

    @property
    def name(self) -> str:
        """Return the name that the report uses."""
        return self._name

    @property
    def playing(self) -> Playing:
        """Return how it has taken part so far."""
        trainings = None if self._trainings is None else self._trainings()
        return Playing(self._own / max(self._asked, 1), trainings)

    def learn(self, end: int) -> None:
        """Learn the events of the log before `end`."""
        self._learned = end
        for ranking in self._rankings:
            ranking.learn(end)

    def recommend(self, request: Request) -> Rows:
        """Return `LIST_LENGTH` distinct rows of those offered, fewer when fewer are offered."""
        if self._last is not None:
            last, learned, rows = self._last
            if last is request and learned == self._learned:
                return rows
        rows = self._listed(self._numbering.request(request))
        self._last = request, self._learned, rows
        return rows

    def _listed(self, own: Request) -> Rows:
        listed: dict[int, None] = {}
        for ranking in self._rankings:
            # The first LIST_LENGTH of each suffice: what is already listed hides no more of them.
            listed |= dict.fromkeys(ranking.ranked(own, LIST_LENGTH).tolist())
            if ranking is self._rankings[0]:
                self._asked += 1
                self._own += bool(listed)
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
