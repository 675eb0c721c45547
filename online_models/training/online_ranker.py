"""The ranker that learns from the stream, a mini-batch at a time.

It learns with the position of the slot beside its score, so that the score need not explain what
the position does. Serving knows no position: there the score alone is calibrated anew, on the
newest answers (Platt 1999), so that what is served is as large as what is clicked (after Guo et al.
2019, "PAL", whose position tower is also dropped for serving).

A task beside the click is learned from the slots where it counts, once enough of it has happened
and not happened.
"""

from __future__ import annotations

import copy
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from online_models.tasks import TASKS
from online_models.training.calibration import (
    LEAST_LABELS,
    Calibration,
    base_rates,
    calibrate,
    counted_rows,
)
from online_models.training.examined import MOST_POSITIONS, Floats, Rows
from online_models.training.networks import CalibratedRanker, Ranker, marginal
from online_models.training.ranker import loss_beside_click

_LEARNING_RATE: Final = 5e-4
_LINE_LEARNING_RATE: Final = 5e-3  # also of the heads beside the click
_WEIGHT_DECAY: Final = 1e-3
_KEPT: Final = 0.99  # of the average at a step
_MOST_NORM: Final = 1.0  # of the gradient
_ABSURD: Final = 5.0  # times the usual loss
_USUAL: Final = 0.05  # how fast the usual loss follows
_SETTLED_STEPS: Final = 20
_MOST_SLOPE: Final = 3.0


class OnlineRanker(nn.Module):
    """A ranker, and what the position adds while it learns."""

    def __init__(self, ranker: Ranker, calibration: Calibration) -> None:
        super().__init__()
        self.ranker = ranker
        self.position = nn.Embedding(MOST_POSITIONS, 1)
        nn.init.zeros_(self.position.weight)
        # A slope is learned as its logarithm, so that it keeps the order.
        self.lines = nn.Parameter(torch.stack([calibration.slopes.log(), calibration.intercepts]))

    @property
    def calibration(self) -> Calibration:
        """The lines that bring its scores to log-odds."""
        return Calibration(self.lines[0].exp(), self.lines[1])

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        """Return (n, T) log-odds, of (n, F) features at (n,) positions.

        The position of a slot counts for its click alone.
        """
        log_odds = self.calibration(self.ranker(features))
        return log_odds + functional.pad(self.position(positions), (0, len(TASKS) - 1))


class Learner:
    """An online ranker, its optimiser, and what it would serve.

    What is served is the average of the newest weights (Polyak and Juditsky 1992), which are less
    noisy than the last ones, with a calibration of its own. Dropout is drawn from the number of the
    step, so that a learner that was restored goes on as if it had never stopped.

    Attributes:
        steps: mini-batches that were learned or skipped.
    """

    def __init__(self, network: OnlineRanker, *, seed: int) -> None:
        self.steps = 0
        self._network = network
        self._seed = seed
        self._usual: float | None = None
        self._came = torch.zeros(
            2, len(TASKS)
        )  # how many labels were false and true, where they count
        self._served = AveragedModel(network.ranker, multi_avg_fn=get_ema_multi_avg_fn(_KEPT))
        self._served.eval()
        self._calibration = _frozen(network.calibration)
        self._optimiser = torch.optim.AdamW(
            [
                {"params": network.ranker.of_clicks()},
                {"params": [network.ranker.beside_click], "lr": _LINE_LEARNING_RATE},
                {
                    "params": [network.position.weight, network.lines],
                    "lr": _LINE_LEARNING_RATE,
                    "weight_decay": 0.0,
                },
            ],
            lr=_LEARNING_RATE,
            weight_decay=_WEIGHT_DECAY,
        )

    def learn(self, new: Rows, replayed: Rows) -> float | None:
        """Learn a mini-batch; return its loss, None when it was skipped."""
        torch.manual_seed(self._seed + self.steps)
        self.steps += 1
        self._network.train()
        features = torch.from_numpy(np.concatenate([new.features, replayed.features]))
        positions = torch.from_numpy(np.concatenate([new.positions, replayed.positions]))
        labels = torch.from_numpy(np.concatenate([new.labels, replayed.labels]))
        log_odds = self._network(features, positions)
        loss = functional.binary_cross_entropy_with_logits(log_odds[:, 0], labels[:, 0].float())
        rows = counted_rows(labels)
        loss = loss + loss_beside_click(log_odds, labels, rows, self._learnable())
        reached = float(loss.item())
        if self._is_absurd(reached):
            return None
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), _MOST_NORM)
        self._optimiser.step()
        self._served.update_parameters(self._network.ranker)
        came, counts = labels[: len(new)], rows[: len(new)]
        self._came += torch.stack([(counts & ~came).sum(dim=0), (counts & came).sum(dim=0)])
        return reached

    @torch.no_grad()
    def calibrate(self, newest: Rows) -> None:
        """Fit what would be served to the newest slots."""
        scores = self._served(torch.from_numpy(newest.features))
        otherwise = _frozen(self._network.calibration)
        self._calibration = calibrate(scores, torch.from_numpy(newest.labels), otherwise)

    @torch.no_grad()
    def predict(self, features: Floats) -> Floats:
        """Return (n, T) probabilities as they would be served, of (n, F) features."""
        scores = self._served(torch.from_numpy(features))
        found: Floats = marginal(self._calibration(scores)).numpy()
        return found

    def candidate(self) -> CalibratedRanker:
        """Return a copy of what would be served."""
        return CalibratedRanker(copy.deepcopy(self._served.module), self._calibration)

    def state(self) -> dict[str, Any]:
        """Return all that it needs to go on, for `restore`."""
        return {
            "network": self._network.state_dict(),
            "served": self._served.state_dict(),
            "calibration": list(self._calibration),
            "came": self._came,
            "optimiser": self._optimiser.state_dict(),
            "steps": self.steps,
            "usual": self._usual,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the place of the learner that gave this state."""
        self._network.load_state_dict(state["network"])
        self._served.load_state_dict(state["served"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._calibration, self._came = Calibration(*state["calibration"]), state["came"]
        self.steps, self._usual = state["steps"], state["usual"]

    def _learnable(self) -> list[bool]:
        enough: list[bool] = (self._came >= LEAST_LABELS).all(dim=0).tolist()
        return enough

    def _is_absurd(self, loss: float) -> bool:
        """Return whether a loss is far beyond the usual one, which follows it in any case."""
        if not np.isfinite(loss):
            return True
        usual = loss if self._usual is None else self._usual
        absurd = self.steps > _SETTLED_STEPS and loss > _ABSURD * usual
        self._usual = usual + _USUAL * (min(loss, _ABSURD * usual) - usual)
        return absurd


def new_learner(start: CalibratedRanker | None, first: Rows, *, seed: int) -> Learner:
    """Return a learner, calibrated on the first slots that were seen.

    Args:
        start: the ranker in use; None for one that orders as the fusion of the sources does.
        first: of the stream.
        seed: of every generator.
    """
    torch.manual_seed(seed)
    if start is not None:
        ranker = copy.deepcopy(start.ranker)
    else:
        ranker = Ranker(first.features.mean(axis=0), first.features.std(axis=0))
    ranker.eval()
    with torch.no_grad():
        scores = ranker(torch.from_numpy(first.features))
    labels = torch.from_numpy(first.labels)
    otherwise = start.calibration if start is not None else base_rates(labels)
    slopes, intercepts = calibrate(scores, labels, otherwise)
    # A score that says nothing yet has next to no slope, with which it would never learn.
    usable = Calibration(slopes.clamp(1 / _MOST_SLOPE, _MOST_SLOPE), intercepts)
    learner = Learner(OnlineRanker(ranker, usable), seed=seed)
    learner.calibrate(first)
    return learner


def _frozen(calibration: Calibration) -> Calibration:
    """Return a copy that learns no more."""
    return Calibration(*(each.detach().clone() for each in calibration))
