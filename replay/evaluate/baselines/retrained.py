"""Models that are trained anew at the beginning of a day, and asked with the history of the moment.

Law: a model is made from nothing but the visits before its day, so that learning in steps and at
once come to the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from online_models.training.log import TARGET, TrainingLog
from replay.evaluate.baselines.numbering import best
from replay.evaluate.baselines.query import last_visited
from replay.evaluate.request import Request, Rows

RETRAIN_VISITS: Final = 5_000  # about thirty trainings over 150,000 visits
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


class Retrained:
    """Trained when a day (UTC) begins, if there are enough new visits since the last training."""

    def __init__(self, log: TrainingLog, fit: Fit, retrain_visits: int) -> None:
        self._log = log
        self._fit = fit
        self._moments = mornings(log, retrain_visits)
        self._trained: Trained | None = None
        self._trained_at = -1

    def learn(self, end: int) -> None:
        """Train if a new day has begun before `end`; of several new days, on the last alone."""
        begun = int(np.searchsorted(self._moments, end))
        moment = int(self._moments[begun - 1]) if begun else -1
        if moment > self._trained_at:
            self._trained_at = moment
            self._trained = self._train(moment)

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

    def _train(self, end: int) -> Trained:
        log = self._log
        visits = np.flatnonzero(TARGET[log.kind[:end]])
        rows, columns = np.unique(log.item[visits], return_inverse=True)
        users, lines = np.unique(log.user[visits], return_inverse=True)
        ones = np.ones(len(visits), np.float32)
        shape = (len(users), len(rows))
        counts = scipy.sparse.csr_matrix((ones, (lines, columns)), shape)  # sums repetitions
        column = np.full(len(log.items), -1)
        column[rows] = np.arange(len(rows))
        return Trained(self._fit(counts), rows, column)


def mornings(log: TrainingLog, retrain_visits: int = 1, growth: float = 0.0) -> Rows:
    """Return the first events of the days (UTC) on which to train, ascending.

    Args:
        log: the log.
        retrain_visits: fewest new visits since the last training.
        growth: fewest new visits as a share of those that were trained on, which bounds the number
            of trainings by the logarithm of the visits.
    """
    day = log.ts_ms // _DAY_MS
    starts = np.flatnonzero(day[1:] > day[:-1]) + 1
    visits_before = np.cumsum(TARGET[log.kind])[starts - 1]
    moments, trained_on = [], 0
    for morning, visits in zip(starts.tolist(), visits_before.tolist(), strict=True):
        if visits - trained_on >= max(retrain_visits, growth * trained_on):
            moments.append(morning)
            trained_on = visits
    return np.array(moments, np.int64)
