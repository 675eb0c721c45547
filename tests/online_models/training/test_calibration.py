"""Lines that make scores log-odds: of a click, and of what follows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from online_models.tasks import NEGATIVE, TASKS
from online_models.training.calibration import (
    LEAST_LABELS,
    Calibration,
    base_rates,
    calibrate,
    counted_rows,
    is_learnable,
    level,
    platt,
)

pytestmark = pytest.mark.training


@pytest.mark.parametrize("true", [0, 1, 40])
def test_it_survives_what_says_nothing(true: int) -> None:
    """Nothing came, one thing, all; and scores that are all the same."""
    came = torch.arange(40) < true
    for scores in (torch.zeros(40), torch.linspace(-1, 1, 40)):
        slope, intercept = platt(scores, came)
        assert np.isfinite([slope, intercept]).all()
        assert slope > 0


def test_it_finds_the_line() -> None:
    """Slope and intercept of a known truth; 20,000 draws, five standard errors of slack."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20_000, generator=generator)
    came = torch.rand(20_000, generator=generator) < torch.sigmoid(0.7 * scores - 1.5)
    assert platt(scores, came) == pytest.approx((0.7, -1.5), abs=0.12)


@given(
    st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=2, max_size=50),
    st.floats(-5, 5),
)
def test_a_level_makes_as_many_foreseen_as_came(
    rows: list[tuple[float, bool]], before: float
) -> None:
    """From whatever level before; where all or none came there is no such level."""
    log_odds = torch.tensor([score + before for score, _ in rows])
    came = torch.tensor([label for _, label in rows])
    assume(came.any() and not came.all())
    foreseen = torch.sigmoid(log_odds.double() + level(log_odds, came))
    assert float(foreseen.mean()) == pytest.approx(float(came.double().mean()), abs=1e-4)


def test_a_line_for_the_click_leaves_the_others() -> None:
    """In a copy."""
    lines = Calibration(torch.ones(len(TASKS)), torch.zeros(len(TASKS)))
    changed = lines.with_click(2.0, 3.0)
    assert changed.slopes.tolist() == [2, 1, 1, 1]
    assert changed.intercepts.tolist() == [3, 0, 0, 0]
    assert lines.slopes.tolist() == [1, 1, 1, 1]


def test_each_task_is_fitted_to_the_rows_where_it_counts() -> None:
    """Each to its own line; rows where it does not count would pull it down."""
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(40_000, len(TASKS), generator=generator)
    truth = Calibration(torch.tensor([0.7, 1.2, 0.5, 0.8]), torch.tensor([-1.0, -0.5, 1.0, -0.5]))
    labels = torch.rand(scores.shape, generator=generator) < torch.sigmoid(truth(scores))
    labels[:, 1:3] &= labels[:, :1]
    rows = counted_rows(labels)
    rows[:, NEGATIVE] = rows[:, 0]  # here it counts everywhere
    found = calibrate(scores, labels, base_rates(labels), rows)
    assert found.slopes.tolist() == pytest.approx(truth.slopes.tolist(), abs=0.12)
    assert found.intercepts.tolist() == pytest.approx(truth.intercepts.tolist(), abs=0.12)


def test_what_cannot_be_learned_keeps_its_line() -> None:
    """The click is fitted whatever there is of it."""
    labels = torch.zeros(200, len(TASKS), dtype=torch.bool)
    labels[:100, 0] = labels[:20, 1] = labels[:99, 2] = labels[100:120, 3] = True
    otherwise = Calibration(
        torch.tensor([9.0, 2.0, 3.0, 4.0]), torch.tensor([9.0, -2.0, -3.0, -4.0])
    )
    found = calibrate(torch.zeros(200, len(TASKS)), labels, otherwise)
    assert found.intercepts.tolist() == pytest.approx([0, -2, -3, -4], abs=1e-3)
    assert found.slopes.tolist()[1:] == [2, 3, 4]


def test_base_rates_are_smoothed() -> None:
    """Half a label more of either kind, among the rows where each task counts."""
    labels = torch.zeros(20, len(TASKS), dtype=torch.bool)
    labels[:10, 0] = labels[:4, 1] = labels[8:13, 3] = True
    usual = base_rates(labels)
    assert torch.sigmoid(usual.intercepts).tolist() == pytest.approx(
        [0.5, 4.5 / 11, 0.5 / 11, 5.5 / 14]
    )
    assert usual(torch.randn(3, len(TASKS))).tolist() == [usual.intercepts.tolist()] * 3


def test_a_few_dozen_of_either_kind_are_enough() -> None:
    """One fewer are not."""
    for true in (LEAST_LABELS, 100 - LEAST_LABELS):
        assert is_learnable(torch.arange(100) < true)
    for true in (0, LEAST_LABELS - 1, 101 - LEAST_LABELS, 100):
        assert not is_learnable(torch.arange(100) < true)
