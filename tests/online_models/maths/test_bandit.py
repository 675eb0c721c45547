"""The bandit's propensities are the law of what it draws, and its prior is careful."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betainc, betaincinv, betaln, xlog1py, xlogy

from online_models.maths.bandit import (
    DEFAULT_PRIOR,
    LEAST_PROPENSITY,
    empirical_bayes_prior,
    posterior,
    thompson_shares,
    thompson_slots,
)

ARMS = st.lists(st.tuples(st.floats(0.2, 300), st.floats(0.2, 30_000)), min_size=1, max_size=8)


def integrate_one_by_one(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The slow twin: adaptive quadrature over x, with the exact distribution functions."""
    shares = []
    for arm in range(len(alpha)):
        others = np.arange(len(alpha)) != arm

        def density(x: float, arm: int = arm, others: np.ndarray = others) -> float:
            log_density = xlogy(alpha[arm] - 1, x) + xlog1py(beta[arm] - 1, -x)
            log_density -= betaln(alpha[arm], beta[arm])
            return float(np.exp(log_density) * betainc(alpha[others], beta[others], x).prod())

        edges = betaincinv(alpha[arm], beta[arm], [1e-10, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-10])
        shares.append(sum(quad(density, *span, limit=200)[0] for span in pairwise(edges)))
    return np.array(shares)


# --- Thompson sampling ---


@pytest.mark.parametrize(
    ("alpha", "beta"),
    [
        ([1, 1, 1, 1], [1, 9, 99, 999]),
        ([1, 1, 50, 2000], [99, 99, 3000, 98_000]),
        ([0.2, 1, 3], [5, 99, 40]),
        ([1, 1e5], [99, 9.9e6]),
    ],
)
def test_shares_are_those_of_adaptive_quadrature(alpha: list[float], beta: list[float]) -> None:
    """Wide and narrow posteriors side by side: within 0.001."""
    a, b = np.array(alpha, float), np.array(beta, float)
    np.testing.assert_allclose(thompson_shares(a, b), integrate_one_by_one(a, b), atol=1e-3)


def test_shares_are_those_of_drawing() -> None:
    """200,000 draws of 25 arms: 5 standard errors, a false alarm in 60,000 runs."""
    rng = np.random.default_rng(5)
    alpha, beta = rng.uniform(1, 30, 25), rng.uniform(50, 900, 25)
    n = 200_000
    wins = np.bincount(rng.beta(alpha, beta, (n, 25)).argmax(axis=1), minlength=25) / n
    shares = thompson_shares(alpha, beta)
    assert np.all(np.abs(wins - shares) <= 5 * np.sqrt(shares * (1 - shares) / n) + 1e-3)


@given(ARMS)
def test_shares_are_a_distribution(arms: list[tuple[float, float]]) -> None:
    """Whatever the posteriors."""
    alpha, beta = np.array(arms).T
    shares = thompson_shares(alpha, beta)
    assert np.isfinite(shares).all()
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1)


def test_slots_are_drawn_with_their_propensities() -> None:
    """First slot and, given it, the second: 6,000 fills, 5 standard errors, one alarm in 10^5."""
    alpha, beta = np.array([2.0, 4.0, 1.0]), np.array([50.0, 80.0, 99.0])
    rng = np.random.default_rng(9)
    n = 6_000
    seen: dict[tuple[int, ...], list[float]] = {}
    for _ in range(n):
        arms, propensities = thompson_slots(alpha, beta, 2, rng)
        seen.setdefault(tuple(arms.tolist()), []).append(float(propensities.prod()))
    assert len(seen) == 6
    for propensities in seen.values():
        share = propensities[0]
        assert np.ptp(propensities) < 1e-12
        assert abs(len(propensities) / n - share) < 5 * np.sqrt(share / n)


@given(ARMS, st.integers(-1, 10), st.integers(0, 2**32))
def test_slots_hold_each_arm_once_and_never_rarely(
    arms: list[tuple[float, float]], slots: int, seed: int
) -> None:
    """The propensity is in [LEAST_PROPENSITY, 1]: no logged slot weighs more than its inverse."""
    alpha, beta = np.array(arms).T
    drawn, propensities = thompson_slots(alpha, beta, slots, np.random.default_rng(seed))
    assert len(drawn) == len(propensities) == max(min(slots, len(arms)), 0)
    assert len(set(drawn.tolist())) == len(drawn)
    assert (propensities >= LEAST_PROPENSITY * 0.999).all()
    assert (propensities <= 1 + 1e-9).all()


def test_the_same_generator_draws_the_same_arms() -> None:
    """Randomness is an argument."""
    alpha, beta = np.ones(9), np.full(9, 99.0)
    first = thompson_slots(alpha, beta, 3, np.random.default_rng(3))
    again = thompson_slots(alpha, beta, 3, np.random.default_rng(3))
    assert first[0].tolist() == again[0].tolist()
    assert first[1].tolist() == again[1].tolist()


def test_without_arms_nothing_is_drawn() -> None:
    """The empty request."""
    arms, propensities = thompson_slots(np.empty(0), np.empty(0), 2, np.random.default_rng(0))
    assert len(arms) == len(propensities) == 0


# --- the prior ---


@pytest.mark.parametrize(
    ("impressions", "clicks"),
    [([], []), ([0, 0], [0, 0]), ([0, 0], [7, 3]), ([5], [1]), ([1000, 500], [0, 0])],
)
def test_without_evidence_the_prior_is_the_default(
    impressions: list[int], clicks: list[int]
) -> None:
    """Nothing shown, nothing clicked, clicks only, one impression."""
    assert empirical_bayes_prior(np.array(impressions), np.array(clicks)) == DEFAULT_PRIOR


def test_the_prior_is_below_the_mean_and_above_its_half() -> None:
    """Pessimism has bounds."""
    rng = np.random.default_rng(2)
    shown = rng.integers(1, 5_000, 2_000)
    clicked = rng.binomial(shown, rng.beta(4, 96, 2_000))
    alpha, beta = empirical_bayes_prior(shown, clicked)
    rate = clicked.sum() / shown.sum()
    assert rate / 2 <= alpha / (alpha + beta) < rate
    # The moments find the strength of Beta(4, 96) within a fifth at this size.
    assert 80 < alpha + beta < 120


def test_equal_arms_make_a_strong_prior() -> None:
    """Nothing but noise between the arms: the strength is at its bound."""
    alpha, beta = empirical_bayes_prior(np.full(50, 1000), np.full(50, 30))
    assert alpha + beta == pytest.approx(1_000)


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=12),
)
def test_the_prior_is_always_proper(arms: list[tuple[int, int]]) -> None:
    """Also where there are more clicks than impressions."""
    shown = np.array([shown for shown, _ in arms], np.uint32)
    clicked = np.array([clicked for _, clicked in arms], np.uint32)
    alpha, beta = empirical_bayes_prior(shown, clicked)
    assert alpha > 0
    assert beta > 0
    assert np.isfinite([alpha, beta]).all()


def test_clicks_without_impressions_leave_the_prior_alone() -> None:
    """A log of clicks says nothing of rates: all its arms are equally worth a try."""
    alpha, beta = posterior((1.0, 99.0), np.zeros(3), np.array([1000.0, 3.0, 0.0]))
    assert thompson_shares(alpha, beta) == pytest.approx(np.full(3, 1 / 3))
