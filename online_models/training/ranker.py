"""Training of the ranker: listwise on exposures, against the fusion it starts from.

What follows a click is learned beside it, from the targets alone, with a small weight: the order of
the candidates is that of clicks, and what they share must not pay for the rest.
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
from online_models.training.budget import Budget
from online_models.training.calibration import (
    Calibration,
    base_odds,
    base_rates,
    calibrate,
    is_learnable,
    level,
    platt,
)
from online_models.training.exposures import Exposure
from online_models.training.networks import CalibratedRanker, Ranker
from online_models.training.shown import Shown
from online_models.training.shown_rows import ShownRows

LISTED: Final = 100
"""Candidates of an exposure in a list to learn from: the right one and others at random."""

_BATCH: Final = 64
_SHOWN_BATCH: Final = 128  # items that were shown, beside a batch of lists
_WEIGHT_SHOWN: Final = 1.0  # of their loss beside that of the lists
_LEARNING_RATE: Final = 1e-3
_HEAD_LEARNING_RATE: Final = 1e-2  # of what follows a click: it learns from one row of a list
_WEIGHT_DECAY: Final = 1e-3
_PATIENCE: Final = 5  # epochs without progress before training ends
_WEIGHT_GIVEN_CLICK: Final = 0.1  # of the loss of each further task beside that of the click

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
    report: Callable[[float], None] = lambda _: None,
) -> CalibratedRanker:
    """Return a ranker whose scores are probabilities.

    Where slates tell what was clicked on of what was shown, that is what a probability means, and
    a part of what is learned; else it is the probability to be what comes next.

    The epoch that foresees the clicks of the validation best is kept, and the untrained ranker,
    which is the fusion of the sources, is one of the contestants. A task that came true too seldom
    to learn or to calibrate it, or nearly always, stays at its base rate.

    Args:
        exposures: to learn from; those whose target no source found teach nothing.
        validation: later ones, to choose the epoch and to calibrate.
        epochs: most passes.
        budget: when time is over, the epoch is the last.
        rng: draws the lists.
        shown: slates to learn from.
        shown_later: later ones, to calibrate by.
        report: told the share that is done.
    """
    learned = [each for each in exposures if each.target >= 0 and len(each.features) > 1]
    found = [each for each in validation if each.target >= 0]
    if not learned or not found:
        return untrained_ranker()
    lists = _Lists.of(learned, rng)
    held_out = _HeldOut.of(found)
    learnable = [
        is_learnable(early) and is_learnable(late)
        for early, late in zip(lists.labels.T, held_out.came.T, strict=True)
    ]
    fitting = _Fitting(lists, ShownRows.of(shown), learnable, rng)
    ranker = fitting.average
    best, best_state, best_epoch = held_out.loss(ranker), copy.deepcopy(ranker.state_dict()), 0
    for epoch in range(1, epochs + 1):
        fitting.learn()
        reached = held_out.loss(ranker)
        if reached < best:
            best, best_state, best_epoch = reached, copy.deepcopy(ranker.state_dict()), epoch
        report(epoch / epochs)
        if budget.over() or epoch - best_epoch >= _PATIENCE:
            break
    ranker.load_state_dict(best_state)
    report(1.0)
    ranker.eval()
    with torch.no_grad():
        calibration = calibrate(ranker(held_out.features), held_out.labels(), lists.usual)
        clicks = ShownRows.of(shown_later)
        if clicks.learnable:
            line = platt(ranker(clicks.features)[:, 0], clicks.clicked)
            calibration = calibration.with_click(*line)
    return CalibratedRanker(ranker, calibration, best_epoch)


def refit_ranker(
    fitted: CalibratedRanker,
    exposures: Sequence[Exposure],
    *,
    budget: Budget,
    rng: np.random.Generator,
    shown: Sequence[Shown] = (),
) -> CalibratedRanker:
    """Return a ranker that learned from nothing as long as the given one, from other exposures.

    What chose the epoch of a ranker are the newest exposures, which tell most of a log that drifts:
    here they are learned from too. The calibration stays, but for the level of clicks on what was
    shown: scores of lists have none of their own.

    Args:
        fitted: from `fit_ranker`; it is returned where the fusion was best, or time does not
            suffice.
        exposures: all, in the order of time.
        budget: when time is over, the given ranker stays.
        rng: draws the lists.
        shown: slates, all too.
    """
    learned = [each for each in exposures if each.target >= 0 and len(each.features) > 1]
    if not fitted.epochs or not learned:
        return fitted
    learnable = (fitted.slopes > 0).tolist()
    clicks = ShownRows.of(shown)
    fitting = _Fitting(_Lists.of(learned, rng), clicks, learnable, rng)
    for _ in range(fitted.epochs):
        if budget.over():
            return fitted
        fitting.learn()
    ranker, calibration = fitting.average.eval(), fitted.calibration
    if clicks.learnable:
        with torch.no_grad():
            log_odds = calibration(ranker(clicks.features))[:, 0]
        added = level(log_odds, clicks.clicked)
        slope, intercept = calibration.slopes[0], calibration.intercepts[0]
        calibration = calibration.with_click(float(slope), float(intercept) + added)
    return CalibratedRanker(ranker, calibration, fitted.epochs)


def untrained_ranker() -> CalibratedRanker:
    """Return the ranker that orders as the fusion of the sources does."""
    nothing, intercepts = np.zeros(len(FEATURES), np.float32), torch.zeros(len(TASKS))
    intercepts[0] = -np.log(LISTED)
    return CalibratedRanker(
        Ranker(nothing, nothing), Calibration(torch.ones(len(TASKS)), intercepts)
    )


def loss_given_click(log_odds: Tensor, labels: Tensor, learnable: Sequence[bool]) -> Tensor:
    """Return the weighted loss of the tasks that follow a click, over what was clicked.

    Args:
        log_odds: (n, T).
        labels: (n, T) bool, the click first.
        learnable: (T,) the others have no loss.
    """
    clicked = labels[:, 0]
    losses = [
        functional.binary_cross_entropy_with_logits(
            log_odds[clicked, task], labels[clicked, task].float()
        )
        for task in range(1, len(TASKS))
        if learnable[task] and clicked.any()
    ]
    return _WEIGHT_GIVEN_CLICK * torch.stack([torch.zeros(()), *losses]).sum()


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
    labels: Tensor  # (m, T) bool, of the right candidates
    usual: Calibration  # their base rates

    @classmethod
    def of(cls, exposures: Sequence[Exposure], rng: np.random.Generator) -> _Lists:
        features = np.empty((len(exposures), LISTED, len(FEATURES)), np.float32)
        for row, exposure in enumerate(exposures):
            others = np.delete(np.arange(len(exposure.features)), exposure.target)
            drawn = rng.choice(others, LISTED - 1, replace=len(others) < LISTED - 1)
            features[row] = exposure.features[np.r_[exposure.target, drawn]]
        labels = torch.tensor([each.labels for each in exposures])
        return cls(features, labels, base_rates(labels))

    def loss(self, ranker: Ranker, rows: NDArray[np.int64], learnable: Sequence[bool]) -> Tensor:
        """Return the loss of b lists: which was clicked, and what followed that click."""
        scores = ranker(torch.from_numpy(self.features[rows]))  # (b, LISTED, T)
        right = torch.zeros(len(rows), dtype=torch.long)
        given = scores[:, 0] + self.usual.intercepts  # (b, T), of the right ones
        given_click = loss_given_click(given, self.labels[rows], learnable)
        return functional.cross_entropy(scores[..., 0], right) + given_click


class _Fitting:
    """A ranker and what it learns with, epoch by epoch."""

    def __init__(
        self,
        lists: _Lists,
        shown: ShownRows,
        learnable: Sequence[bool],
        rng: np.random.Generator,
    ) -> None:
        flat = lists.features.reshape(-1, len(FEATURES))
        self._ranker = Ranker(flat.mean(axis=0), flat.std(axis=0))
        self._averaged = averaged(self._ranker)
        self._lists, self._learnable, self._rng = lists, learnable, rng
        self._shown = shown if shown.learnable else None
        # Scores of lists have no level of their own: this line, the logarithm of its slope first,
        # brings them to that of clicks.
        self._line = torch.nn.Parameter(torch.tensor([0.0, base_odds(shown.clicked)]))
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self._ranker.of_clicks()},
                {"params": [self._ranker.given_click], "lr": _HEAD_LEARNING_RATE},
                {"params": [self._line], "lr": _HEAD_LEARNING_RATE, "weight_decay": 0.0},
            ],
            lr=_LEARNING_RATE,
            weight_decay=_WEIGHT_DECAY,
        )

    @property
    def average(self) -> Ranker:
        """The ranker as it was on average; learning on changes it."""
        return cast(Ranker, self._averaged.module)

    def learn(self) -> None:
        """Learn every list once."""
        self._ranker.train()
        order = self._rng.permutation(len(self._lists.features))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            loss = self._lists.loss(self._ranker, rows, self._learnable) + self._loss_of_shown()
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._averaged.update_parameters(self._ranker)

    def _loss_of_shown(self) -> Tensor:
        """Return the weighted loss of some of what was shown."""
        shown = self._shown
        if shown is None:
            return torch.zeros(())
        rows = torch.from_numpy(self._rng.integers(len(shown), size=_SHOWN_BATCH))
        scores = self._ranker(shown.features[rows])[:, 0]
        log_odds = self._line[0].exp() * scores + self._line[1]
        clicked = shown.clicked[rows].float()
        loss = functional.binary_cross_entropy_with_logits(log_odds, clicked)
        return _WEIGHT_SHOWN * loss


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Whole exposures, one behind the other."""

    features: Tensor  # (rows, F)
    starts: NDArray[np.int64]  # (n,) first row of each exposure
    right: NDArray[np.int64]  # (n,) row of each target
    came: Tensor  # (n, T) bool, the labels of each target

    @classmethod
    def of(cls, exposures: Sequence[Exposure]) -> _HeldOut:
        lengths = [len(each.features) for each in exposures]
        starts = np.cumsum([0, *lengths[:-1]])
        rows = np.concatenate([each.features for each in exposures]).astype(np.float32)
        features = torch.from_numpy(rows)
        came = torch.tensor([each.labels for each in exposures])
        return cls(features, starts, starts + [each.target for each in exposures], came)

    def labels(self) -> Tensor:
        """Return (rows, T) bool: those of the targets, and nothing came of the others."""
        labels = torch.zeros(len(self.features), len(TASKS), dtype=torch.bool)
        labels[torch.from_numpy(self.right)] = self.came
        return labels

    @torch.no_grad()
    def loss(self, ranker: Ranker) -> float:
        """Return the mean listwise loss."""
        ranker.eval()
        scores = ranker(self.features)[:, 0].double().numpy()
        totals = np.logaddexp.reduceat(scores, self.starts)
        return float((totals - scores[self.right]).mean())
