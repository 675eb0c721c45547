"""Training of the ranker: listwise on exposures, against the fusion it starts from.

The tasks beside the click are learned with a small weight: the order of the candidates is that of
clicks, and what they share must not pay for the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from online_models.features import FEATURES
from online_models.tasks import TASKS
from online_models.training.averaging import averaged
from online_models.training.budget import RANKER_ROW_S, Budget
from online_models.training.calibration import Calibration, base_odds, calibrate, level
from online_models.training.exposures import Exposure
from online_models.training.labelled_rows import LabelledRows, Population
from online_models.training.networks import CalibratedRanker, Ranker
from online_models.training.shown import Shown

LISTED: Final = 100
"""Candidates of an exposure in a list to learn from: the right one and others at random."""

_BATCH: Final = 64
_ROWS_BATCH: Final = 128  # rows of the population, beside a batch of lists
_WEIGHT_SHOWN: Final = 1.0  # of their loss beside that of the lists
_LEARNING_RATE: Final = 1e-3
_HEAD_LEARNING_RATE: Final = 1e-2  # of the tasks beside the click: they learn from few rows
_WEIGHT_DECAY: Final = 1e-3
_PATIENCE: Final = 5  # epochs without progress before training ends
_WEIGHT_BESIDE_CLICK: Final = 0.1  # of the loss of each further task beside that of the click

Floats = NDArray[np.float32]


def fit_ranker(
    exposures: Sequence[Exposure],
    validation: Sequence[Exposure],
    *,
    epochs: int,
    budget: Budget,
    rng: np.random.Generator,
    shown: Sequence[Shown] = (),
    shown_later: Sequence[Shown] = (),
    rejected: Sequence[Exposure] = (),
    rejected_later: Sequence[Exposure] = (),
    report: Callable[[float], None] = lambda _: None,
) -> CalibratedRanker:
    """Return a ranker whose scores are probabilities.

    Where slates say what was clicked on of what was shown, that is what a probability means, and
    a part of what is learned; else it is the probability to be what comes next. The order within a
    slate is another question, see `slate_head`.

    The epoch that predicts the clicks of the validation best is kept, and the untrained ranker,
    which is the fusion of the sources, is one of the contestants. A task that happened too seldom
    to learn or to calibrate it, or nearly always, stays at its base rate.

    Args:
        exposures: to learn from; those whose target no source found teach nothing.
        validation: later ones, to choose the epoch and to calibrate.
        epochs: most passes.
        budget: of rows; when it is spent, the epoch is the last.
        rng: draws the lists.
        shown: slates to learn from.
        shown_later: later ones, to calibrate by.
        rejected: exposures before rejections, to learn from where there are no slates.
        rejected_later: later ones, to calibrate by.
        report: called with the share that is done.
    """
    learned = [each for each in exposures if each.target >= 0 and len(each.features) > 1]
    found = [each for each in validation if each.target >= 0]
    if not learned or not found:
        return untrained_ranker()
    lists = _Lists.of(learned, rng)
    held_out = _HeldOut.of(found)
    population = Population.of(learned, validation, shown, shown_later, rejected, rejected_later)
    ranker, epoch = _fit(_Fitting(lists, population, rng), held_out, epochs, budget, report)
    late = population.late
    report(1.0)
    with torch.no_grad():
        scores = ranker(late.features)
    calibration = calibrate(scores, late.labels, population.usual, late.rows)
    return CalibratedRanker(ranker, calibration, epoch, on_shown=population.on_shown)


def _fit(
    fitting: _Fitting,
    held_out: _HeldOut,
    epochs: int,
    budget: Budget,
    report: Callable[[float], None],
) -> tuple[Ranker, int]:
    """Return the ranker after the epoch that predicts what was held out best, and the epoch."""
    ranker = fitting.average
    best, best_state, best_epoch = held_out.loss(ranker), copy.deepcopy(ranker.state_dict()), 0
    for epoch in range(1, epochs + 1):
        fitting.learn(budget)
        reached = held_out.loss(ranker)
        budget.spend(len(held_out.features) * RANKER_ROW_S / 2)
        if reached < best:
            best, best_state, best_epoch = reached, copy.deepcopy(ranker.state_dict()), epoch
        report(epoch / epochs)
        if budget.over() or epoch - best_epoch >= _PATIENCE:
            break
    ranker.load_state_dict(best_state)
    return ranker.eval(), best_epoch


def refit_ranker(
    fitted: CalibratedRanker,
    exposures: Sequence[Exposure],
    *,
    budget: Budget,
    rng: np.random.Generator,
    shown: Sequence[Shown] = (),
    rejected: Sequence[Exposure] = (),
) -> CalibratedRanker:
    """Return a ranker that learned from nothing as long as the given one, from other exposures.

    What chose the epoch of a ranker are the newest exposures, which tell most of a log that drifts:
    here they are learned from too. The calibration stays, but for the level of clicks on what was
    shown: scores of lists have none of their own.

    Args:
        fitted: from `fit_ranker`; it is returned where the fusion was best, or the budget
            does not suffice.
        exposures: all, in the order of time.
        budget: of rows; when it is spent, the given ranker stays.
        rng: draws the lists.
        shown: slates, all too.
        rejected: exposures before rejections, all too.
    """
    learned = [each for each in exposures if each.target >= 0 and len(each.features) > 1]
    if not fitted.epochs or not learned:
        return fitted
    rows = LabelledRows.of_targets(learned, rejected)
    if fitted.on_shown:
        rows = LabelledRows.of_shown(shown)
    learnable = (fitted.slopes > 0).tolist()
    population = Population(fitted.on_shown, rows, rows, learnable, rows.base_rates())
    fitting = _Fitting(_Lists.of(learned, rng), population, rng)
    for _ in range(fitted.epochs):
        if budget.over():
            return fitted
        fitting.learn(budget)
    ranker, calibration = fitting.average.eval(), fitted.calibration
    if fitted.on_shown:
        with torch.no_grad():
            log_odds = calibration(ranker(rows.features))[:, 0]
        added = level(log_odds, rows.clicked)
        slope, intercept = calibration.slopes[0], calibration.intercepts[0]
        calibration = calibration.with_click(float(slope), float(intercept) + added)
    return CalibratedRanker(ranker, calibration, fitted.epochs, on_shown=fitted.on_shown)


def untrained_ranker() -> CalibratedRanker:
    """Return the ranker that orders as the fusion of the sources does."""
    nothing, intercepts = np.zeros(len(FEATURES), np.float32), torch.zeros(len(TASKS))
    intercepts[0] = -np.log(LISTED)
    return CalibratedRanker(
        Ranker(nothing, nothing), Calibration(torch.ones(len(TASKS)), intercepts)
    )


def loss_beside_click(
    log_odds: Tensor, labels: Tensor, rows: Tensor, learnable: Sequence[bool]
) -> Tensor:
    """Return the weighted loss of the tasks beside the click, each over the rows where it counts.

    Args:
        log_odds: (n, T).
        labels: (n, T) bool.
        rows: (n, T) bool, where each task counts.
        learnable: (T,) the others have no loss.
    """
    losses = [
        functional.binary_cross_entropy_with_logits(
            log_odds[counts, task], labels[counts, task].float()
        )
        for task, counts in enumerate(rows.T)
        if task and learnable[task] and counts.any()
    ]
    return _WEIGHT_BESIDE_CLICK * torch.stack([torch.zeros(()), *losses]).sum()


@torch.no_grad()
def probabilities_of(ranker: torch.nn.Module, exposure: Exposure) -> Floats:
    """Return the (n, T) probabilities of an exposure's candidates."""
    ranker.eval()
    found: Floats = ranker(torch.from_numpy(exposure.features.astype(np.float32))).numpy()
    return found


def scores_of(ranker: torch.nn.Module, exposure: Exposure) -> Floats:
    """Return the (n,) scores of an exposure's candidates: how likely a click is."""
    scores: Floats = probabilities_of(ranker, exposure)[:, 0]
    return scores


@dataclass(frozen=True, slots=True)
class _Lists:
    """m lists to learn from: the right candidate first, then others of the same exposure."""

    features: Floats  # (m, LISTED, F)

    @classmethod
    def of(cls, exposures: Sequence[Exposure], rng: np.random.Generator) -> _Lists:
        features = np.empty((len(exposures), LISTED, len(FEATURES)), np.float32)
        for row, exposure in enumerate(exposures):
            others = np.delete(np.arange(len(exposure.features)), exposure.target)
            drawn = rng.choice(others, LISTED - 1, replace=len(others) < LISTED - 1)
            features[row] = exposure.features[np.r_[exposure.target, drawn]]
        return cls(features)

    def loss(self, ranker: Ranker, rows: NDArray[np.int64]) -> Tensor:
        """Return the loss of b lists: which candidate was acted on."""
        scores = ranker(torch.from_numpy(self.features[rows]))  # (b, LISTED, T)
        right = torch.zeros(len(rows), dtype=torch.long)
        return functional.cross_entropy(scores[..., 0], right)


class _Fitting:
    """A ranker and what it learns with, epoch by epoch."""

    def __init__(self, lists: _Lists, population: Population, rng: np.random.Generator) -> None:
        flat = lists.features.reshape(-1, len(FEATURES))
        self._ranker = Ranker(flat.mean(axis=0), flat.std(axis=0))
        self._averaged = averaged(self._ranker)
        self._lists, self._population, self._rng = lists, population, rng
        # Scores of lists have no level of their own: this line, the logarithm of its slope first,
        # brings them to that of clicks.
        self._line = torch.nn.Parameter(torch.tensor([0.0, base_odds(population.early.clicked)]))
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self._ranker.of_clicks()},
                {"params": [self._ranker.beside_click], "lr": _HEAD_LEARNING_RATE},
                {"params": [self._line], "lr": _HEAD_LEARNING_RATE, "weight_decay": 0.0},
            ],
            lr=_LEARNING_RATE,
            weight_decay=_WEIGHT_DECAY,
        )

    @property
    def average(self) -> Ranker:
        """The ranker as it was on average; learning on changes it."""
        return cast(Ranker, self._averaged.module)

    def learn(self, budget: Budget) -> None:
        """Learn every list once, and count it."""
        self._ranker.train()
        order = self._rng.permutation(len(self._lists.features))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            loss = self._lists.loss(self._ranker, rows) + self._loss_of_rows()
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._averaged.update_parameters(self._ranker)
            budget.spend((len(rows) * LISTED + _ROWS_BATCH) * RANKER_ROW_S)

    def _loss_of_rows(self) -> Tensor:
        """Return the weighted loss of some rows of the population: all but which comes next."""
        population = self._population
        rows = population.early
        some = torch.from_numpy(self._rng.integers(len(rows), size=_ROWS_BATCH))
        scores = self._ranker(rows.features[some])  # (b, T)
        loss = loss_beside_click(
            scores + population.usual.intercepts,
            rows.labels[some],
            rows.rows[some],
            population.learnable,
        )
        if population.on_shown:
            log_odds = self._line[0].exp() * scores[:, 0] + self._line[1]
            clicked = rows.clicked[some].float()
            of_clicks = functional.binary_cross_entropy_with_logits(log_odds, clicked)
            loss = loss + _WEIGHT_SHOWN * of_clicks
        return loss


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Whole exposures, one behind the other."""

    features: Tensor  # (rows, F)
    starts: NDArray[np.int64]  # (n,) first row of each exposure
    right: NDArray[np.int64]  # (n,) row of each target

    @classmethod
    def of(cls, exposures: Sequence[Exposure]) -> _HeldOut:
        lengths = [len(each.features) for each in exposures]
        starts = np.cumsum([0, *lengths[:-1]])
        rows = np.concatenate([each.features for each in exposures]).astype(np.float32)
        return cls(torch.from_numpy(rows), starts, starts + [each.target for each in exposures])

    @torch.no_grad()
    def loss(self, ranker: Ranker) -> float:
        """Return the mean listwise loss."""
        ranker.eval()
        scores = ranker(self.features)[:, 0].double().numpy()
        totals = np.logaddexp.reduceat(scores, self.starts)
        return float((totals - scores[self.right]).mean())
