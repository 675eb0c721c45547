"""The order of one prediction, at the level of another."""

import numpy as np
import pytest
from scipy.special import logit

from online_models.maths.slate_level import at_level_of


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_kept_and_the_sum_is_that_of_the_other(seed: int) -> None:
    """Whatever is clicked often or seldom; log-odds differ by one constant."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 200))
    level = rng.beta(0.3, rng.choice([0.5, 5, 50]), n).astype(np.float32)
    order = rng.uniform(0.001, 0.999, n).astype(np.float32)
    found = at_level_of(level, order)
    assert found.sum() == pytest.approx(level.sum(dtype=np.float64), rel=1e-4)
    assert np.argsort(found).tolist() == np.argsort(order).tolist()
    assert ((found > 0) & (found < 1)).all()
    assert np.ptp(logit(found) - logit(order.astype(np.float64))) < 1e-6


def test_a_softmax_of_seldom_clicks_shares_them_out() -> None:
    """As the head learned it: each item has its share of what the slate is expected to get."""
    scores = np.array([0.0, 1.0, 2.0])
    found = at_level_of(np.full(3, 1e-4), 1 / (1 + np.exp(-scores)))
    shares = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(found, 3e-4 * shares, rtol=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("order", [[0.0], [1.0], [0.5, 0.5], [0.0, 1.0], [0.0, 1e-30, 1.0]])
def test_certainties_stay_finite(level: float, order: list[float]) -> None:
    """No items, one, equal ones; nothing is below 0 or above 1."""
    found = at_level_of(np.full(len(order), level), np.array(order))
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(level, abs=1e-6)
    assert at_level_of(np.empty(0), np.empty(0)).shape == (0,)
