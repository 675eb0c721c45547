"""The bandit's propensities are the law of what it draws."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betainc, betaincinv, betaln, xlog1py, xlogy

from online_models.maths.bandit import (
    LEAST_PROPENSITY,
    faded,
    posterior,
    sharpened,
    slot_shares,
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


@given(st.lists(ARMS.filter(lambda arms: len(arms) > 1), min_size=1, max_size=3))
def test_problems_in_a_stack_are_solved_each_by_itself(problems: list[list[Any]]) -> None:
    """With equally many arms, as one array."""
    n = min(len(arms) for arms in problems)
    alpha, beta = np.array([arms[:n] for arms in problems]).transpose(2, 0, 1)
    stacked = thompson_shares(alpha, beta)
    one_by_one = [thompson_shares(*each) for each in zip(alpha, beta, strict=True)]
    np.testing.assert_allclose(stacked, one_by_one, atol=1e-12)


def test_few_nodes_are_near_to_many() -> None:
    """16 for each arm, over 300 problems of posteriors as they come: 0.01, on average 0.001."""
    rng = np.random.default_rng(1)
    shown = rng.integers(0, 4_000, (300, 5))
    alpha, beta = posterior((1.0, 99.0), shown, rng.binomial(shown, rng.beta(3, 200, shown.shape)))
    error = np.abs(thompson_shares(alpha, beta, 16) - thompson_shares(alpha, beta))
    assert error.max() < 0.01
    assert error.mean() < 0.001


def test_a_batch_of_draws_is_one_multinomial_draw() -> None:
    """What `replay.evaluate` plays: 100 impressions between updates, one by one or at once.

    Mean and variance of an arm's count over 4,000 batches of either: 5 standard errors.
    """
    rng = np.random.default_rng(8)
    alpha, beta = np.array([3.0, 5.0, 2.0, 9.0]), np.array([200.0, 280.0, 99.0, 700.0])
    n = 4_000
    draws = rng.beta(alpha, beta, (n, 100, 4)).argmax(axis=2)
    singly = np.stack([(draws == arm).sum(axis=1) for arm in range(4)], axis=1)
    at_once = rng.multinomial(100, thompson_shares(alpha, beta), n)
    spread = at_once.std(axis=0)
    means_apart = np.abs(singly.mean(axis=0) - at_once.mean(axis=0))
    assert (means_apart < 5 * spread * np.sqrt(2 / n) + 0.1).all()
    # The variance of an estimated variance is about 2 variance^2 / n.
    apart = np.abs(singly.var(axis=0) - at_once.var(axis=0))
    assert (apart < 5 * spread**2 * np.sqrt(4 / n)).all()


def test_slots_share_what_the_least_propensity_needs() -> None:
    """Order is kept, nobody is below, and a thousand arms or more share equally."""
    shares = slot_shares(np.array([0.7, 0.3, 0.0]))
    assert shares.sum() == pytest.approx(1)
    assert shares.min() == pytest.approx(LEAST_PROPENSITY)
    assert shares.tolist() == sorted(shares, reverse=True)
    assert slot_shares(np.eye(1, 2_000)[0]) == pytest.approx(np.full(2_000, 1 / 2_000))


def test_sharpened_arms_keep_their_means_and_lead_more_clearly() -> None:
    """The better arm is drawn more often."""
    alpha, beta = np.array([4.0, 6.0]), np.array([200.0, 200.0])
    sharp_alpha, sharp_beta = sharpened(alpha, beta)
    np.testing.assert_allclose(sharp_alpha / (sharp_alpha + sharp_beta), alpha / (alpha + beta))
    assert thompson_shares(sharp_alpha, sharp_beta)[1] > thompson_shares(alpha, beta)[1] + 0.05


# --- posteriors ---


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1e6), st.floats(0.1, 1e6))
def test_what_fades_never_falls_below_the_prior(
    shown: int, clicked: int, age: float, half_life: float
) -> None:
    """However old: the prior does not age."""
    counts = faded(np.array([shown, clicked], float), age, half_life)
    alpha, beta = posterior((0.5, 99.5), counts[:1], counts[1:])
    assert 0.5 <= alpha[0] <= 0.5 + clicked
    assert 99.5 <= beta[0] <= 99.5 + shown


def test_half_of_it_is_left_after_a_half_life() -> None:
    """And everything where there is none."""
    assert faded(np.array([8.0]), 30, 30).tolist() == [4.0]
    assert faded(np.array([8.0]), 30, float("inf")).tolist() == [8.0]


def test_clicks_without_impressions_leave_the_prior_alone() -> None:
    """A log of clicks says nothing of rates: all its arms are equally worth a try."""
    alpha, beta = posterior((1.0, 99.0), np.zeros(3), np.array([1000.0, 3.0, 0.0]))
    assert thompson_shares(alpha, beta) == pytest.approx(np.full(3, 1 / 3))
