"""The ranker that learns from the stream, a mini-batch at a time.

It learns with the position of the slot beside its score, so that the score need not explain what
the position does. Serving knows no position: there the score alone is calibrated anew, on the
newest answers (Platt 1999), so that what is served is as large as what is clicked (after Guo et al.
2019, "PAL", whose position tower is also dropped for serving).
"""

from __future__ import annotations

import copy
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from online_models.training.examined import MOST_POSITIONS, Floats, Rows
from online_models.training.networks import CalibratedRanker, Ranker

_LEARNING_RATE: Final = 5e-4
_LINE_LEARNING_RATE: Final = 5e-3
_WEIGHT_DECAY: Final = 1e-3
_KEPT: Final = 0.99  # of the average at a step
_MOST_NORM: Final = 1.0  # of the gradient
_ABSURD: Final = 5.0  # times the usual loss
_USUAL: Final = 0.05  # how fast the usual loss follows
_SETTLED_STEPS: Final = 20
_MOST_SLOPE: Final = 3.0


class OnlineRanker(nn.Module):
    """A ranker, and what the position adds while it learns."""

    def __init__(self, ranker: Ranker, slope: float = 1.0, intercept: float = 0.0) -> None:
        super().__init__()
        self.ranker = ranker
        self.position = nn.Embedding(MOST_POSITIONS, 1)
        nn.init.zeros_(self.position.weight)
        self.line = nn.Parameter(torch.tensor([float(np.log(slope)), intercept]))

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        """Return (n,) log-odds of a click, of (n, F) features at (n,) positions."""
        return _line(self.line, self.ranker(features)) + self.position(positions).squeeze(-1)


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
        self._served = AveragedModel(network.ranker, multi_avg_fn=get_ema_multi_avg_fn(_KEPT))
        self._served.eval()
        self._line = network.line.detach().clone()
        self._optimiser = torch.optim.AdamW(
            [
                {"params": list(network.ranker.parameters()), "weight_decay": _WEIGHT_DECAY},
                {
                    "params": [network.position.weight, network.line],
                    "lr": _LINE_LEARNING_RATE,
                    "weight_decay": 0.0,
                },
            ],
            lr=_LEARNING_RATE,
        )

    def learn(self, new: Rows, replayed: Rows) -> float | None:
        """Learn a mini-batch; return its loss, None when it was skipped."""
        torch.manual_seed(self._seed + self.steps)
        self.steps += 1
        self._network.train()
        features = torch.from_numpy(np.concatenate([new.features, replayed.features]))
        positions = torch.from_numpy(np.concatenate([new.positions, replayed.positions]))
        clicked = torch.from_numpy(np.concatenate([new.clicked, replayed.clicked])).float()
        log_odds = self._network(features, positions)
        loss = functional.binary_cross_entropy_with_logits(log_odds, clicked)
        reached = float(loss.item())
        if self._is_absurd(reached):
            return None
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), _MOST_NORM)
        self._optimiser.step()
        self._served.update_parameters(self._network.ranker)
        return reached

    @torch.no_grad()
    def calibrate(self, newest: Rows) -> None:
        """Fit what would be served to the newest slots."""
        scores = self._served(torch.from_numpy(newest.features))
        slope, intercept = platt(scores, torch.from_numpy(newest.clicked))
        self._line = torch.tensor([float(np.log(slope)), intercept])

    @torch.no_grad()
    def predict(self, features: Floats) -> Floats:
        """Return (n,) probabilities as they would be served, of (n, F) features."""
        scores = self._served(torch.from_numpy(features))
        found: Floats = torch.sigmoid(_line(self._line, scores)).numpy()
        return found

    def candidate(self) -> CalibratedRanker:
        """Return a copy of what would be served."""
        log_slope, intercept = self._line.tolist()
        ranker = copy.deepcopy(self._served.module)
        return CalibratedRanker(ranker, float(np.exp(log_slope)), intercept)

    def state(self) -> dict[str, Any]:
        """Return all that it needs to go on, for `restore`."""
        return {
            "network": self._network.state_dict(),
            "served": self._served.state_dict(),
            "line": self._line,
            "optimiser": self._optimiser.state_dict(),
            "steps": self.steps,
            "usual": self._usual,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the place of the learner that gave this state."""
        self._network.load_state_dict(state["network"])
        self._served.load_state_dict(state["served"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._line, self.steps, self._usual = state["line"], state["steps"], state["usual"]

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
    slope, intercept = platt(scores, torch.from_numpy(first.clicked))
    # A score that says nothing yet has next to no slope, with which it would never learn.
    usable = float(np.clip(slope, 1 / _MOST_SLOPE, _MOST_SLOPE))
    learner = Learner(OnlineRanker(ranker, usable, intercept), seed=seed)
    learner.calibrate(first)
    return learner


@torch.enable_grad()
def platt(scores: Tensor, clicked: Tensor) -> tuple[float, float]:
    """Return slope and intercept that make a score the log-odds of a click (Platt 1999).

    A little is added for the slope 1, so that few clicks do not make an extreme one.

    Args:
        scores: (n,).
        clicked: (n,) bool.
    """
    n, clicks = len(clicked), int(clicked.sum())
    log_odds = float(np.log((clicks + 0.5) / (n - clicks + 0.5)))
    line = torch.tensor([0.0, log_odds], requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = _line(line, scores)
        loss = functional.binary_cross_entropy_with_logits(logits, clicked.float())
        loss = loss + line[0].square() / max(n, 1)
        loss.backward()
        return loss

    optimiser.step(closure)
    log_slope, intercept = line.tolist()
    if not np.isfinite([log_slope, intercept]).all():
        return 1.0, log_odds
    return float(np.exp(log_slope)), intercept


def _line(line: Tensor, scores: Tensor) -> Tensor:
    """Return slope x score + intercept; the slope comes as its logarithm: it keeps the order."""
    return line[0].exp() * scores + line[1]
