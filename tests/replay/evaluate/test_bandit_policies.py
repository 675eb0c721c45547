"""The policies of the environment, against their formulas, one problem at a time."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.maths.bandit import posterior, sharpened, slot_shares, thompson_shares
from online_models.maths.bandit_prior import learn_click_prior
from replay.evaluate.bandit_environment import Problems, Seen
from replay.evaluate.bandit_policies import (
    Index,
    Shares,
    Thompson,
    epsilon_greedy,
    ucb1,
    ucb1_tuned,
)


def _seen(shown: list[float], clicks: list[float], pending: list[float] | None = None) -> Seen:
    arrays = [
        np.array([[row]], float) for row in (shown, shown, clicks, pending or [0] * len(shown))
    ]
    return Seen(*arrays)


def test_ucb1_is_its_formula() -> None:
    """Auer et al.: mean + sqrt(2 ln t / n)."""
    shown, clicks = np.array([[[10.0, 30.0]]]), np.array([[[1.0, 6.0]]])
    expected = [0.1 + np.sqrt(2 * np.log(40) / 10), 0.2 + np.sqrt(2 * np.log(40) / 30)]
    assert ucb1(shown, shown, clicks)[0, 0].tolist() == pytest.approx(expected)


def test_ucb1_tuned_explores_less_than_ucb1() -> None:
    """Its variance is at most a quarter, where UCB1 assumes two."""
    shown, clicks = np.array([[[10.0, 30.0]]]), np.array([[[1.0, 6.0]]])
    assert (ucb1_tuned(shown, shown, clicks) < ucb1(shown, shown, clicks)).all()


def test_an_arm_never_shown_comes_first() -> None:
    """And what a deterministic policy has just done it counts: the batch is not one arm's."""
    shown = Index(ucb1).allocate(
        _seen([500, 500, 0], [5, 5, 0]), np.array([100]), np.random.default_rng(0)
    )
    assert shown[0, 0, 2] > 0
    even = Index(ucb1).allocate(
        _seen([100, 101], [1, 1]), np.array([100]), np.random.default_rng(0)
    )
    assert even[0, 0].min() >= 40


def test_pending_impressions_count_as_shown() -> None:
    """Of two arms with equal rates, the one that is tried already is less in doubt."""
    seen = _seen([100, 100], [1, 1], pending=[1_000, 0])
    shown = Index(ucb1).allocate(seen, np.array([100]), np.random.default_rng(0))
    assert shown.tolist() == [[[0, 100]]]


def test_epsilon_greedy_gives_the_best_all_but_epsilon() -> None:
    """Equals share."""
    shares = epsilon_greedy(lambda _t, _n: 0.3)
    assert shares(_seen([10, 10, 10], [0, 3, 0]))[0, 0] == pytest.approx([0.1, 0.8, 0.1])
    assert shares(_seen([10, 10, 10], [3, 3, 0]))[0, 0] == pytest.approx([0.45, 0.45, 0.1])
    always = Shares(epsilon_greedy(lambda _t, _n: 0.0))
    shown = always.allocate(_seen([10, 10], [0, 3]), np.array([50]), np.random.default_rng(0))
    assert shown.tolist() == [[[0, 50]]]


def test_the_products_policy_draws_by_the_products_functions() -> None:
    """Prior from earlier experiments, where the experiment is the category; then the shares.

    The shares of 400 batches of 100 against the frequencies: five standard errors.
    """
    rng = np.random.default_rng(3)
    shown = rng.integers(500, 4_000, (1, 40, 4)).astype(float)
    clicks = rng.binomial(shown.astype(int), rng.beta(3, 150, (1, 40, 1))).astype(float)
    problems = Problems(0, np.arange(40), np.zeros((40, 4)), np.zeros(40, np.int64))
    policy = Thompson()
    policy.end(problems, Seen(shown, shown, clicks, np.zeros_like(shown)))
    policy.start_week()
    now, now_clicks = np.array([90.0, 300.0, 0.0, 40.0]), np.array([2.0, 5.0, 0.0, 0.0])
    # The product: one table of items; those of the experiment that runs are category 40.
    codes = np.append(np.repeat(np.arange(40), 4), [40] * 4)[:, None]
    before = learn_click_prior(shown.ravel(), clicks.ravel(), codes[:160])
    weight = before.strength * now / (before.strength + now)
    hits = before.strength * now_clicks / (before.strength + now)
    rate = (before.category_strength * before.rate + hits.sum()) / (
        before.category_strength + weight.sum()
    )
    mine = learn_click_prior(np.append(shown, now), np.append(clicks, now_clicks), codes)
    assert mine.category_rates[40] == pytest.approx(rate, rel=0.1)
    prior = type(before)(before.rate, before.strength, 1.0, np.array([rate])).of(
        np.zeros((4, 1), int)
    )
    shares = slot_shares(thompson_shares(*sharpened(*posterior(prior, now, now_clicks)), 16))
    seen = _seen(now.tolist(), now_clicks.tolist())
    played = sum(policy.allocate(seen, np.array([100]), rng)[0, 0] for _ in range(400)) / 40_000
    assert np.abs(played - shares).max() < 5 * np.sqrt(0.25 / 40_000)


def test_pending_impressions_are_no_failures_unless_told_so() -> None:
    """With the same clicks, the arm with many pending ones is not shunned."""
    seen = _seen([200, 200], [6, 6], pending=[3_000, 0])
    rng = np.random.default_rng(5)
    matured = Thompson().allocate(seen, np.array([10_000]), rng)[0, 0]
    naive = Thompson(pending_fails=True).allocate(seen, np.array([10_000]), rng)[0, 0]
    assert matured[0] == pytest.approx(5_000, abs=250)
    assert naive[0] < 500
