"""The moving average of weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from online_models.training.averaging import KEEPS, SETTLES, averaged

pytestmark = pytest.mark.training


class _Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def average_of(steps: list[float]) -> float:
    model = _Weight()
    average = averaged(model)
    for value in steps:
        model.weight.data.fill_(value)
        average.update_parameters(model)
    return float(average.module.weight.detach())


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=60))
def test_it_is_the_weighted_mean_of_the_steps(steps: list[float]) -> None:
    """Later ones count for more; what was before the first step counts for nothing."""
    expected = steps[0]
    for done, value in enumerate(steps[1:], 1):
        kept = min(KEEPS, done / (done + SETTLES))
        expected = kept * expected + (1 - kept) * value
    assert average_of(steps) == pytest.approx(expected, abs=1e-3)
    assert min(steps) - 1e-3 <= average_of(steps) <= max(steps) + 1e-3


def test_the_first_steps_are_soon_forgotten() -> None:
    """They lead from nowhere."""
    assert average_of([1000.0] * 5 + [1.0] * 100) == pytest.approx(1.0, abs=1e-3)
    assert average_of([*np.linspace(0, 1, 100)]) == pytest.approx(0.9, abs=0.02)
