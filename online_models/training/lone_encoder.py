"""The encoder alone: trained at once, trained on, or led on by the newest events.

Law: a training knows the events before it. What is drawn in it depends on nothing but the seed and
the event at which it is made, so that it neither disturbs other trainings nor is disturbed by them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from online_models.training.budget import Budget
from online_models.training.encoder import EncoderModel, Negatives, fit_encoder, fit_first, step
from online_models.training.histories import Histories, HistoryBatch, encoded
from online_models.training.log import TrainingLog
from online_models.training.windows import WindowBatch

_MOST_FOLLOWED: Final = 128  # events of a step, evenly spread
_BATCH: Final = 64
_FOLLOWING_RATE: Final = 1e-3  # half of where training begins: a step sees little


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a training may take.

    Attributes:
        first_epochs: most passes of the first training.
        later_epochs: of each further one.
        first_s: budget of the first training; see `Budget`.
        later_s: of each further one.
    """

    first_epochs: int = 30
    later_epochs: int = 1
    first_s: float = 35.0
    later_s: float = 3.0


class LoneEncoder:
    """Item tower and encoder of a log, which they learn up to where they are told to.

    Args:
        log: the log.
        effort: how much trainings may take.
        seed: of all that is drawn.
    """

    def __init__(
        self,
        log: TrainingLog,
        effort: Effort,
        seed: int,
    ) -> None:
        self._log = log
        self._effort = effort
        self._seed = seed
        with self._drawing(0):
            self._model = EncoderModel.fresh(log)
        self._histories = Histories(log)
        self._counts = np.zeros(len(log.items), np.int64)  # of targets
        self._optimiser: torch.optim.Optimizer | None = None
        self._vectors = self._model.item_vectors()

    def copied(self) -> LoneEncoder:
        """Return one that has learned the same, and learns on by itself."""
        other = copy.copy(self)
        other._model = copy.deepcopy(self._model)
        other._counts = self._counts.copy()
        other._optimiser = None
        return other

    def fit(self, end: int) -> None:
        """Train on the events before `end`; the newest of them choose the epoch."""
        log, effort = self._log, self._effort
        with self._drawing(end) as rng:
            learned = fit_first(
                self._model,
                log,
                self._histories,
                end,
                epochs=effort.first_epochs,
                budget=Budget.of(effort.first_s),
                rng=rng,
            )
        self._counts += np.bincount(
            log.item[self._histories.requests(0, learned, learned)], minlength=len(self._counts)
        )
        self._vectors = self._model.item_vectors()

    def fit_on(self, end: int) -> None:
        """Train on, on all events before `end`."""
        effort = self._effort
        with self._drawing(end) as rng:
            fit_encoder(
                self._model,
                self._log,
                end,
                epochs=effort.later_epochs,
                budget=Budget.of(effort.later_s),
                rng=rng,
            )
        self._vectors = self._model.item_vectors()

    def follow(self, start: int, end: int) -> None:
        """Learn once from the events from `start` to before `end`, or from some of too many."""
        events = self._histories.requests(start, end, _MOST_FOLLOWED)
        self._counts += np.bincount(self._log.item[events], minlength=len(self._counts))
        self._model.known |= self._counts > 0
        if self._optimiser is None:
            self._optimiser = torch.optim.Adam(self._model.parameters(), lr=_FOLLOWING_RATE)
        with self._drawing(end) as rng:
            negatives = Negatives(self._counts, rng)
            events = rng.permutation(events)
            for first in range(0, len(events), _BATCH):
                batch = self._windows(events[first : first + _BATCH])
                if batch.mask.any():
                    step(self._model, batch, negatives, self._optimiser)
        self._vectors = self._model.item_vectors()

    def scores(self, history: HistoryBatch) -> NDArray[np.float32]:
        """Return (n, n_items) cosines of histories and items; 0 for an empty history."""
        scores: NDArray[np.float32] = self._model.encode(self._vectors, history) @ self._vectors.T
        return scores

    def _windows(self, events: NDArray[np.int64]) -> WindowBatch:
        """Return the histories before events, each with the event as its only target."""
        history = encoded(self._histories.before(events))
        length = max(int(history.mask.sum(axis=1).max()), 1)
        mask, ages_s = history.mask[:, :length], history.ages_s[:, :length]
        targets = np.full(mask.shape, -1)
        targets[mask[:, 0], 0] = self._log.item[events[mask[:, 0]]]
        return WindowBatch(
            items=history.items[:, :length],
            types=history.types[:, :length],
            gaps_s=np.diff(ages_s, axis=1, prepend=np.float32(0)),
            mask=mask,
            targets=targets,
            weights=np.ones(mask.shape, np.float32),
        )

    @contextmanager
    def _drawing(self, event: int) -> Iterator[np.random.Generator]:
        """Seed all that is drawn, and leave the generator of torch as it was.

        Gradients are added up in one order: threads that add them as they come round otherwise
        each time, and over several trainings that grows into other lists.
        """
        usual = torch.are_deterministic_algorithms_enabled()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + event)
            torch.use_deterministic_algorithms(True)
            try:
                yield np.random.default_rng((self._seed, event))
            finally:
                torch.use_deterministic_algorithms(usual)
