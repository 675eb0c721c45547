"""Training of the ranker: listwise on exposures, against the fusion it starts from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from online_models.features import FEATURES
from online_models.training.budget import Budget
from online_models.training.exposures import Exposure
from online_models.training.networks import CalibratedRanker, Ranker

LISTED: Final = 100
"""Candidates of an exposure in a list to learn from: the right one and others at random."""

_BATCH: Final = 64
_LEARNING_RATE: Final = 1e-3
_WEIGHT_DECAY: Final = 1e-3
_PATIENCE: Final = 5  # epochs without progress before training ends

Floats = NDArray[np.float32]


def fit_ranker(
    exposures: Sequence[Exposure],
    validation: Sequence[Exposure],
    *,
    epochs: int,
    budget: Budget,
    rng: np.random.Generator,
    report: Callable[[float], None] = lambda _: None,
) -> CalibratedRanker:
    """Return a ranker whose scores are probabilities.

    The epoch that foresees the validation best is kept, and the untrained ranker, which is the
    fusion of the sources, is one of the contestants.

    Args:
        exposures: to learn from; those whose target no source found teach nothing.
        validation: later ones, to choose the epoch and to calibrate.
        epochs: most passes.
        budget: when time is over, the epoch is the last.
        rng: draws the lists.
        report: told the share that is done.
    """
    lists = _lists(exposures, rng)
    found = [each for each in validation if each.target >= 0]
    if not len(lists) or not found:
        unscaled = Ranker(np.zeros(len(FEATURES), np.float32), np.zeros(len(FEATURES), np.float32))
        return CalibratedRanker(unscaled, 1.0, -float(np.log(LISTED)))
    flat = lists.reshape(-1, lists.shape[2])
    ranker = Ranker(flat.mean(axis=0), flat.std(axis=0))
    held_out = _HeldOut.of(found)
    optimiser = torch.optim.AdamW(
        ranker.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
    )
    best, best_state, since = held_out.loss(ranker), copy.deepcopy(ranker.state_dict()), 0
    for epoch in range(epochs):
        ranker.train()
        order = rng.permutation(len(lists))
        for start in range(0, len(order), _BATCH):
            batch = torch.from_numpy(lists[order[start : start + _BATCH]])
            loss = functional.cross_entropy(
                ranker(batch), torch.zeros(len(batch), dtype=torch.long)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        reached = held_out.loss(ranker)
        since += 1
        if reached < best:
            best, best_state, since = reached, copy.deepcopy(ranker.state_dict()), 0
        report((epoch + 1) / epochs)
        if budget.over() or since >= _PATIENCE:
            break
    ranker.load_state_dict(best_state)
    report(1.0)
    return CalibratedRanker(ranker, *_calibrate(ranker, held_out))


@torch.no_grad()
def scores_of(ranker: torch.nn.Module, exposure: Exposure) -> Floats:
    """Return the (n,) scores of an exposure's candidates."""
    ranker.eval()
    scores: Floats = ranker(torch.from_numpy(exposure.features.astype(np.float32))).numpy()
    return scores


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
        features = torch.from_numpy(rows)
        return cls(features, starts, starts + [each.target for each in exposures])

    @torch.no_grad()
    def loss(self, ranker: Ranker) -> float:
        """Return the mean listwise loss."""
        ranker.eval()
        scores = ranker(self.features).double().numpy()
        totals = np.logaddexp.reduceat(scores, self.starts)
        return float((totals - scores[self.right]).mean())


def _lists(exposures: Sequence[Exposure], rng: np.random.Generator) -> Floats:
    """Return (m, LISTED, F): the right candidate first, then others of the same exposure."""
    found = [each for each in exposures if each.target >= 0 and len(each.features) > 1]
    lists = np.empty((len(found), LISTED, len(FEATURES)), np.float32)
    for row, exposure in enumerate(found):
        others = np.delete(np.arange(len(exposure.features)), exposure.target)
        drawn = rng.choice(others, LISTED - 1, replace=len(others) < LISTED - 1)
        lists[row] = exposure.features[np.r_[exposure.target, drawn]]
    return lists


def _calibrate(ranker: Ranker, held_out: _HeldOut) -> tuple[float, float]:
    """Return slope and intercept that make a score the log-odds of being right (Platt 1999)."""
    ranker.eval()
    with torch.no_grad():
        scores = ranker(held_out.features)
    right = torch.zeros(len(scores))
    right[torch.from_numpy(held_out.right)] = 1
    log_odds = float(np.log(len(held_out.right) / max(len(scores) - len(held_out.right), 1)))
    log_slope = torch.zeros((), requires_grad=True)  # a logarithm, so that the order is kept
    intercept = torch.tensor(log_odds, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_slope, intercept], max_iter=50)

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = log_slope.exp() * scores + intercept
        loss = functional.binary_cross_entropy_with_logits(logits, right)
        loss.backward()
        return loss

    optimiser.step(closure)
    fitted = log_slope.exp().item(), intercept.item()
    return fitted if np.isfinite(fitted).all() else (1.0, log_odds)
