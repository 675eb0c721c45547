"""Models that are trained at fixed events of a log, and asked with the history of the moment.

Law: a model is made from nothing but the visits before the event of its training, so that learning
in steps and at once come to the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from online_models.training.log import TARGET, TrainingLog
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.request import Request, Rows

RETRAIN_VISITS: Final = 5_000  # about thirty trainings over 150,000 visits
RETRAIN_GROWTH: Final = 0.1  # of the visits, where that is fewer: a small log is never too small
QUERY_ITEMS: Final = 10
_DAY_MS: Final = 86_400_000


class Model(Protocol):
    """What was learned from the (n_users, m) counts of visits."""

    def scores(self, history: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (m,) scores of all columns; what has none above 0 is not recommended.

        Args:
            history: (h,) distinct columns that the user visited last, at least one.
            weights: (h,) of these, in (0, 1].
        """
        ...


Fit = Callable[[scipy.sparse.csr_matrix], Model]
"""Returns the model of (n_users, m) counts."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and what its columns stand for.

    Attributes:
        rows: (m,) rows of the items that had been visited, ascending.
        column: (n_items,) where each stands among them, -1 = not there.
    """

    model: Model
    rows: Rows
    column: Rows


class Moment(NamedTuple):
    """When a model is trained.

    Attributes:
        known_from: the first event whose request may use it.
        trained_before: the event whose predecessors it is trained on.
    """

    known_from: int
    trained_before: int


class Retrained:
    """Trained at its moments; of several that have passed, on the last alone.

    Args:
        log: the log.
        fit: returns a model of counts.
        moments: when it is trained, ascending; see `training_moments`.

    Attributes:
        trainings: how often it was trained.
    """

    def __init__(self, log: TrainingLog, fit: Fit, moments: Sequence[Moment]) -> None:
        self._log = log
        self._fit = fit
        self._moments = moments
        self._trained: Trained | None = None
        self._trained_at = -1
        self.trainings = 0

    def learn(self, end: int) -> None:
        """Train at the last moment that is known at `end`, if it has not been yet."""
        known = bisect_right(self._moments, end, key=lambda moment: moment.known_from)
        trained_at = self._moments[known - 1].trained_before if known else -1
        if trained_at > self._trained_at:
            self._trained_at = trained_at
            self._trained = self._train(trained_at)

    def ranked(self, request: Request, k: int) -> Rows:
        """Return the k rows with the biggest scores; none before the first training."""
        if self._trained is None:
            return np.empty(0, np.int64)
        rows, weights = last_visited(request, QUERY_ITEMS)
        history = self._trained.column[rows]
        known = history >= 0
        if not known.any():
            return np.empty(0, np.int64)
        scores = np.zeros(len(request.offered))
        scores[self._trained.rows] = self._trained.model.scores(history[known], weights[known])
        return best(scores, request.offered & (scores > 0), k)

    def _train(self, end: int) -> Trained | None:
        log = self._log
        visits = np.flatnonzero(TARGET[log.kind[:end]])
        if not len(visits):
            return None
        self.trainings += 1
        rows, columns = np.unique(log.item[visits], return_inverse=True)
        users, lines = np.unique(log.user[visits], return_inverse=True)
        ones = np.ones(len(visits), np.float32)
        shape = (len(users), len(rows))
        counts = scipy.sparse.csr_matrix((ones, (lines, columns)), shape)  # sums repetitions
        column = np.full(len(log.items), -1)
        column[rows] = np.arange(len(rows))
        return Trained(self._fit(counts), rows, column)


def training_moments(
    log: TrainingLog, forced: Sequence[int] = (), retrain_visits: int = RETRAIN_VISITS
) -> list[Moment]:
    """Return when models are trained, ascending.

    Args:
        log: the log.
        forced: events before which they are trained in any case: the first that is judged, and
            those before which the product is trained.
        retrain_visits: so many new visits are always enough for a day (UTC) to begin with a
            training; `RETRAIN_GROWTH` of the visits is enough too.
    """
    days = mornings(log, retrain_visits, RETRAIN_GROWTH)
    # That a day has begun is known by its first event alone; what is forced is known beforehand.
    begun = [Moment(day + 1, day) for day in days.tolist()]
    return sorted([*begun, *(Moment(event, event) for event in forced)])


def mornings(log: TrainingLog, retrain_visits: int | None = None, growth: float = 0.0) -> Rows:
    """Return the first events of the days (UTC) on which to train, ascending.

    Args:
        log: the log.
        retrain_visits: new visits since the last training that are always enough; None = no number
            is enough by itself.
        growth: new visits that are enough too, as a share of those that were trained on, which
            bounds the number of trainings by the logarithm of the visits.
    """
    day = log.ts_ms // _DAY_MS
    starts = np.flatnonzero(day[1:] > day[:-1]) + 1
    visits_before = np.cumsum(TARGET[log.kind])[starts - 1]
    enough = np.inf if retrain_visits is None else retrain_visits
    moments, trained_on = [], 0
    for morning, visits in zip(starts.tolist(), visits_before.tolist(), strict=True):
        if visits - trained_on >= max(min(enough, growth * trained_on), 1):
            moments.append(morning)
            trained_on = visits
    return np.array(moments, np.int64)
