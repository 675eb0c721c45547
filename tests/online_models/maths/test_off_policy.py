"""Estimators of what was not tried: identities, degenerate logs, and known cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.off_policy import (
    bootstrap_estimate,
    clipped_ips,
    direct_method,
    doubly_robust,
    effective_rounds,
    estimate,
    importance_weights,
    ips,
    shrunk_doubly_robust,
    snips,
)

ROUNDS = st.lists(
    st.tuples(st.integers(0, 1), st.floats(0.01, 50), st.floats(0, 1), st.floats(0, 1)),
    min_size=1,
    max_size=30,
)


def columns(rounds: list[tuple[float, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(rounds, float).T)


@pytest.mark.parametrize(
    ("target", "propensity", "word"),
    [
        (0.5, 0.0, "propensities"),
        (0.5, 1.1, "propensities"),
        (0.5, np.nan, "propensities"),
        (-0.1, 0.5, "probabilities"),
        (1.1, 0.5, "probabilities"),
    ],
)
def test_a_probability_out_of_bounds_is_an_error(
    target: float, propensity: float, word: str
) -> None:
    """It names the round and what was expected."""
    with pytest.raises(ValueError, match=f"round 1 .*{word}"):
        importance_weights(np.array([0.5, target]), np.array([0.5, propensity]))


@given(ROUNDS)
def test_where_both_policies_agree_all_estimators_give_the_mean(rounds: list) -> None:
    """Weights of one; a reward model that predicts for the policy what it does for the action."""
    rewards, _, predicted, _ = columns(rounds)
    ones, mean = np.ones(len(rewards)), rewards.mean()
    for contributions in (
        ips(rewards, ones),
        clipped_ips(rewards, ones, 10),
        snips(rewards, ones),
        doubly_robust(rewards, ones, predicted, predicted),
    ):
        assert contributions.mean() == pytest.approx(mean)


@given(ROUNDS)
def test_doubly_robust_is_ips_without_a_model_and_the_model_without_weights(rounds: list) -> None:
    """Its two ends."""
    rewards, weights, predicted, expected = columns(rounds)
    nothing = np.zeros(len(rewards))
    np.testing.assert_allclose(
        doubly_robust(rewards, weights, nothing, nothing), ips(rewards, weights)
    )
    np.testing.assert_allclose(
        doubly_robust(rewards, nothing, predicted, expected), direct_method(expected)
    )


@given(ROUNDS)
def test_snips_is_the_weighted_mean_and_keeps_to_the_rewards(rounds: list) -> None:
    """IPS may exceed every reward that there is; SNIPS cannot."""
    rewards, weights, _, _ = columns(rounds)
    value = snips(rewards, weights).mean()
    assert value == pytest.approx((weights * rewards).sum() / weights.sum())
    assert rewards.min() - 1e-9 <= value <= rewards.max() + 1e-9


def test_the_spread_of_snips_is_that_of_the_ratio() -> None:
    """Against drawing whole rounds anew, 2,000 times: deviations within a tenth."""
    rng = np.random.default_rng(3)
    weights = rng.gamma(1.0, 1.0, 2_000)
    rewards = (rng.random(2_000) < 0.2 / (1 + weights)).astype(float)
    found = estimate(snips(rewards, weights))
    counts = rng.multinomial(2_000, np.full(2_000, 1 / 2_000), 2_000)
    ratios = (counts @ (weights * rewards)) / (counts @ weights)
    assert (found.high - found.low) / (2 * 1.959964) == pytest.approx(ratios.std(), rel=0.1)


@given(ROUNDS)
def test_shrinking_stays_between_the_model_and_doubly_robust(rounds: list) -> None:
    """In every round."""
    rewards, weights, predicted, expected = columns(rounds)
    shrunk = shrunk_doubly_robust(rewards, weights, predicted, expected)
    full = doubly_robust(rewards, weights, predicted, expected)
    assert (shrunk >= np.minimum(expected, full) - 1e-9).all()
    assert (shrunk <= np.maximum(expected, full) + 1e-9).all()


def test_one_wild_weight_is_shrunk() -> None:
    """And the mean squared error over 300 logs is less than without shrinking."""
    rng = np.random.default_rng(2)
    wild = rng.random((300, 500)) < 0.002
    weights = np.where(wild, 250.0, 0.5)
    rewards = (rng.random(weights.shape) < 0.1).astype(float)
    model = np.full(500, 0.1)
    errors = {
        name: np.mean(
            [method(*log, model, model).mean() - 0.1 for log in zip(rewards, weights, strict=True)]
            ** np.array(2)
        )
        for name, method in (("full", doubly_robust), ("shrunk", shrunk_doubly_robust))
    }
    assert errors["shrunk"] < 0.5 * errors["full"]


@given(ROUNDS)
def test_clipping_only_takes_away(rounds: list) -> None:
    """Of rewards that are not negative."""
    rewards, weights, _, _ = columns(rounds)
    assert (clipped_ips(rewards, weights, 3) <= ips(rewards, weights)).all()
    assert clipped_ips(rewards, weights, 3).max() <= 3


@given(ROUNDS)
def test_effective_rounds_are_between_one_and_all(rounds: list) -> None:
    """And do not change with the scale of the weights."""
    _, weights, _, _ = columns(rounds)
    found = effective_rounds(weights)
    assert 1 - 1e-9 <= found <= len(weights) + 1e-9
    assert effective_rounds(7 * weights) == pytest.approx(found)


def test_a_policy_that_never_does_what_was_logged_has_nothing_to_go_by() -> None:
    """No effective rounds, and no division by zero."""
    nothing = np.zeros(3)
    assert effective_rounds(nothing) == 0
    assert snips(np.ones(3), nothing).tolist() == [0, 0, 0]


def test_an_interval_is_that_of_the_normal_distribution() -> None:
    """Mean 0.5 of 100, deviation 0.5 with 99 degrees of freedom."""
    found = estimate(np.tile([0.0, 1.0], 50))
    reach = 1.959964 * 0.5 / np.sqrt(99)
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach))


def test_dependent_rounds_make_a_wider_interval() -> None:
    """Each round four times over is worth no more than once."""
    once = np.random.default_rng(1).random(200)
    grouped = estimate(np.repeat(once, 4), np.repeat(np.arange(200), 4))
    single = estimate(once)
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high))


def test_the_bootstrap_agrees_with_the_normal_interval() -> None:
    """Of 20,000 rounds, within a tenth of its width."""
    rng = np.random.default_rng(7)
    contributions = rng.choice([0.0, 1.0, 3.0], 20_000, p=[0.8, 0.15, 0.05])
    normal, drawn = estimate(contributions), bootstrap_estimate(contributions, rng)
    width = normal.high - normal.low
    assert drawn.value == normal.value
    assert drawn.low == pytest.approx(normal.low, abs=0.1 * width)
    assert drawn.high == pytest.approx(normal.high, abs=0.1 * width)
