"""Positions are told apart from what stands at them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.bandit import posterior
from online_models.maths.examination import examination_curve, examined


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=6), st.integers(0, 2**32))
def test_the_curve_is_found_whoever_stands_where(curve: list[float], seed: int) -> None:
    """From clicks without noise, with good items at some positions and bad ones at others."""
    rng = np.random.default_rng(seed)
    truth = np.array(curve) / max(curve)
    shown = rng.integers(200, 2_000, (7, len(curve)))
    clicks = shown * rng.uniform(0.01, 0.2, 7)[:, None] * truth
    np.testing.assert_allclose(examination_curve(shown, clicks), truth, rtol=1e-3)


def test_rates_by_position_alone_would_be_wrong() -> None:
    """The best item stands at the position that nobody looks at."""
    shown = np.array([[100, 9_900], [9_900, 100]])
    clicks = shown * np.array([[0.2], [0.02]]) * np.array([1.0, 0.3])
    naive = clicks.sum(axis=0) / shown.sum(axis=0)
    assert naive[1] > naive[0]
    assert examination_curve(shown, clicks) == pytest.approx([1.0, 0.3], rel=1e-3)


def test_without_clicks_every_position_counts_in_full() -> None:
    """Nothing is known."""
    assert examination_curve(np.full((2, 3), 9), np.zeros((2, 3))).tolist() == [1, 1, 1]


def test_a_position_never_filled_leaves_the_others_alone() -> None:
    """It counts nothing, and nothing is infinite."""
    shown = np.array([[100, 0], [100, 0]])
    assert examination_curve(shown, shown * 0.1).tolist() == [1, 0]


def test_weighed_impressions_give_the_rate_of_the_examined() -> None:
    """The posterior of 20,000 impressions that a third looked at: mean within 5 deviations."""
    rng = np.random.default_rng(6)
    curve, rate = np.array([0.5, 0.2]), 0.1
    shown = np.array([[10_000, 10_000]])
    clicks = rng.binomial(shown, rate * curve).sum(axis=1)
    alpha, beta = posterior((1.0, 99.0), examined(shown, curve), clicks)
    assert abs(alpha[0] / (alpha + beta)[0] - rate) < 5 * np.sqrt(rate / 7_000)
