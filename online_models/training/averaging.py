"""The moving average of a model's weights: what is used in place of where the last step led.

It foresees about as much as several models together, and costs as much as one (Izmailov et al.
2018, "Averaging weights leads to wider optima and better generalization").
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

KEEPS: Final = 0.999  # of the average, a step
SETTLES: Final = 10  # of few steps s, those before the last s / SETTLES count for little


def averaged(model: nn.Module) -> AveragedModel:
    """Return the average of a model, to be told of every step by `update_parameters`."""
    return AveragedModel(model, avg_fn=_average)


def _average(average: Tensor, newest: Tensor, steps: Tensor | int) -> Tensor:
    """Return the average after another step; the first ones soon count for nothing."""
    kept = min(KEEPS, int(steps) / (int(steps) + SETTLES))
    return torch.lerp(newest, average, kept)
