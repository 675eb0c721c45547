"""Scores to probabilities: a line for each task, fitted to what came true (Platt 1999)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from online_models.tasks import TASKS, counted

LEAST_LABELS: Final = 30
"""Of each kind, true and false; a task with fewer stays at its base rate and is not learned."""

_NEWTON_STEPS: Final = 50


class Calibration(NamedTuple):
    """The lines that make scores log-odds, task by task; see `online_models.tasks` for given what.

    Attributes:
        slopes: (T,), above 0, so that an order is kept; 0 where the score is of no account.
        intercepts: (T,).
    """

    slopes: Tensor
    intercepts: Tensor

    def __call__(self, scores: Tensor) -> Tensor:
        """Return the (n, T) log-odds of (n, T) scores."""
        return scores * self.slopes + self.intercepts

    def with_click(self, slope: float, intercept: float) -> Calibration:
        """Return these lines with another one for the click."""
        slopes, intercepts = self.slopes.clone(), self.intercepts.clone()
        slopes[0], intercepts[0] = slope, intercept
        return Calibration(slopes, intercepts)


def calibrate(
    scores: Tensor, labels: Tensor, otherwise: Calibration, rows: Tensor | None = None
) -> Calibration:
    """Return the lines of all tasks, each from the rows on which it counts.

    Args:
        scores: (n, T).
        labels: (n, T) bool, the click first.
        otherwise: the lines of the tasks after the click that cannot be learned here.
        rows: (n, T) bool, where each task counts; as `counted` says where it is None.
    """
    rows = counted_rows(labels) if rows is None else rows
    clicks = rows[:, 0]
    lines = [platt(scores[clicks, 0], labels[clicks, 0])]
    for task in range(1, len(TASKS)):
        mine = rows[:, task]
        if is_learnable(labels[mine, task]):
            lines.append(platt(scores[mine, task], labels[mine, task]))
        else:
            lines.append((float(otherwise.slopes[task]), float(otherwise.intercepts[task])))
    slopes, intercepts = torch.tensor(lines).T
    return Calibration(slopes, intercepts)


def base_rates(labels: Tensor, rows: Tensor | None = None) -> Calibration:
    """Return lines that say what is usual, whatever the score: the base rates of the labels.

    Args:
        labels: (n, T) bool.
        rows: as of `calibrate`.
    """
    rows = counted_rows(labels) if rows is None else rows
    columns = [came[counts] for came, counts in zip(labels.T, rows.T, strict=True)]
    return Calibration(torch.zeros(len(TASKS)), torch.tensor([base_odds(each) for each in columns]))


def counted_rows(labels: Tensor) -> Tensor:
    """Return (n, T) bool: on which rows each task counts; see `counted`."""
    return torch.from_numpy(counted(labels.numpy()))


def is_learnable(came: Tensor) -> bool:
    """Return whether (n,) labels hold enough of both kinds to learn from."""
    true = int(came.sum())
    return min(true, len(came) - true) >= LEAST_LABELS


@torch.enable_grad()
def platt(scores: Tensor, came: Tensor) -> tuple[float, float]:
    """Return slope and intercept that make a score the log-odds of a label (Platt 1999).

    A little is added for the slope 1, so that few labels do not make an extreme one.

    Args:
        scores: (n,).
        came: (n,) bool.
    """
    base = base_odds(came)
    line = torch.tensor([0.0, base], requires_grad=True)  # the logarithm of the slope first
    optimiser = torch.optim.LBFGS([line], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        log_odds = line[0].exp() * scores + line[1]
        loss = functional.binary_cross_entropy_with_logits(log_odds, came.float())
        loss = loss + line[0].square() / max(len(came), 1)
        loss.backward()
        return loss

    optimiser.step(closure)
    log_slope, intercept = line.tolist()
    if not np.isfinite([log_slope, intercept]).all():
        return 1.0, base
    return float(np.exp(log_slope)), intercept


def level(log_odds: Tensor, came: Tensor) -> float:
    """Return what is to be added to log-odds so that they foresee as many labels as came true.

    Args:
        log_odds: (n,).
        came: (n,) bool, some true and some not.
    """
    wanted = came.double().mean()
    added = torch.zeros((), dtype=torch.float64)
    for _ in range(_NEWTON_STEPS):
        foreseen = torch.sigmoid(log_odds.double() + added)
        steepness = (foreseen * (1 - foreseen)).mean().clamp(min=1e-6)
        added = added + ((wanted - foreseen.mean()) / steepness).clamp(-1, 1)
    return float(added)


def base_odds(came: Tensor) -> float:
    """Return the log-odds of a label, of half a label more of either kind."""
    true = int(came.sum())
    return float(np.log((true + 0.5) / (len(came) - true + 0.5)))
