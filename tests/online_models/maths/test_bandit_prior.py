"""What is believed of an item that nobody has seen: its categories', carefully."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.bandit_prior import (
    ClickPrior,
    careful_rate,
    evidence,
    learn_click_prior,
    shrunk_rate,
)

NO_CATEGORIES = np.empty((0, 0), np.int32)


def _catalogue(
    strength: float, category_strength: float, categories: int, seed: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impressions, clicks and categories of a catalogue drawn from the model itself, rate 0.03."""
    rng = np.random.default_rng(seed)
    means = rng.beta(0.03 * category_strength, 0.97 * category_strength, categories)
    codes = np.repeat(np.arange(categories), 8)
    rates = rng.beta(means[codes] * strength, (1 - means[codes]) * strength)
    shown = rng.integers(0, 4_000, len(codes))
    return shown, rng.binomial(shown, rates), codes[:, None]


@pytest.mark.parametrize(
    ("impressions", "clicks"),
    [([], []), ([0, 0], [0, 0]), ([0, 0], [7, 3]), ([5], [1]), ([1000, 500], [0, 0])],
)
def test_without_evidence_the_prior_is_that_of_a_fresh_installation(
    impressions: list[int], clicks: list[int]
) -> None:
    """Nothing shown, nothing clicked, clicks only, one impression."""
    codes = np.zeros((len(impressions), 1), np.int32)
    prior = learn_click_prior(np.array(impressions, int), np.array(clicks, int), codes)
    assert (prior.rate, prior.strength, len(prior.category_rates)) == (0.01, 100, 0)
    alpha, beta = prior.of(np.array([[0], [-1]]))
    assert (alpha / (alpha + beta)).tolist() == [0.005, 0.005]


@pytest.mark.parametrize(("strength", "category_strength"), [(60, 150), (300, 100), (300, 2_000)])
def test_the_moments_find_what_the_rates_were_drawn_from(
    strength: float, category_strength: float
) -> None:
    """Both strengths within a third and the rate within a tenth, from 1,500 categories."""
    prior = learn_click_prior(*_catalogue(strength, category_strength, 1_500))
    assert prior.strength == pytest.approx(strength, rel=0.33)
    assert prior.category_strength == pytest.approx(category_strength, rel=0.33)
    assert prior.rate == pytest.approx(0.03, rel=0.1)


def test_items_of_a_good_category_begin_higher() -> None:
    """The prior predicts unseen items better than one rate for all, by squared error."""
    shown, clicks, codes = _catalogue(300, 60, 200)
    unseen = np.arange(len(codes)) % 8 == 0
    prior = learn_click_prior(np.where(unseen, 0, shown), np.where(unseen, 0, clicks), codes)
    judged = unseen & (shown > 1_000)
    rates = clicks[judged] / shown[judged]
    means = prior.category_rates[codes[judged, 0]]
    assert ((means - rates) ** 2).mean() < 0.5 * ((prior.rate - rates) ** 2).mean()


def test_an_item_of_several_categories_lies_between_them() -> None:
    """The mean of their rates; -1 says nothing beside a category, and everything alone."""
    prior = ClickPrior(0.02, 1_000, 100, np.array([0.1, 0.3]), 0.05)
    alpha, beta = prior.of(np.array([[0, 1, -1], [1, -1, -1], [-1, -1, -1], [2, -1, -1]]))
    expected = careful_rate(np.array([0.2, 0.3, 0.05, 0.02]), 1_000)
    np.testing.assert_allclose(alpha / (alpha + beta), expected)


def test_items_without_any_column_of_categories_have_a_prior() -> None:
    """A catalogue without categories has width 0."""
    prior = learn_click_prior(np.full(9, 500), np.arange(9), np.empty((9, 0), np.int32))
    alpha, _ = prior.of(np.empty((2, 0), np.int32))
    assert alpha.shape == (2,)
    assert prior.uncategorised_rate == pytest.approx(4 / 500, rel=0.05)


def test_a_prediction_takes_the_place_of_the_category() -> None:
    """Where there is one."""
    prior = ClickPrior(0.02, 100, 100, np.array([0.1]), 0.05)
    alpha, beta = prior.of(np.array([[0], [0]]), np.array([0.3, np.nan]))
    expected = careful_rate(np.array([0.3, 0.1]), 100)
    np.testing.assert_allclose(alpha / (alpha + beta), expected)


def test_a_bandit_that_shows_the_best_does_not_raise_the_prior() -> None:
    """Pooled clicks over impressions would: here 0.05, where the mean item has 0.03."""
    rng = np.random.default_rng(3)
    rates = rng.beta(3, 97, 4_000)
    shown = np.where(rates > 0.045, 20_000, 200)
    clicks = rng.binomial(shown, rates)
    assert clicks.sum() / shown.sum() > 0.05
    prior = learn_click_prior(shown, clicks, np.full((4_000, 1), -1))
    assert prior.uncategorised_rate == pytest.approx(0.03, rel=0.2)


def test_equal_items_make_a_strong_prior() -> None:
    """Nothing but noise between them: the strength is at its bound."""
    prior = learn_click_prior(np.full(50, 1_000), np.full(50, 30), np.zeros((50, 1), int))
    assert prior.strength == pytest.approx(1_000)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(-1, 3)), max_size=12
    ),
)
def test_the_prior_is_always_proper(items: list[tuple[int, int, int]]) -> None:
    """Also where there are more clicks than impressions."""
    shown, clicks, codes = (np.array([item[column] for item in items], int) for column in range(3))
    prior = learn_click_prior(shown, clicks, codes[:, None])
    alpha, beta = prior.of(np.array([[-1], [0], [3], [9]]))
    assert np.isfinite([alpha, beta]).all()
    assert (alpha > 0).all()
    assert (beta > 0).all()


@given(st.floats(0, 1e9), st.floats(1, 1e6))
def test_an_item_tells_of_its_category_no_more_than_the_strength(
    impressions: float, strength: float
) -> None:
    """However often it was shown; and its rate is told truly."""
    weight, hits = evidence(np.array([impressions]), np.array([impressions / 4]), strength)
    assert weight[0] <= strength * (1 + 1e-12)
    assert hits[0] == pytest.approx(weight[0] / 4)


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(1e-4, 0.5), st.floats(1, 1e4))
def test_a_shrunk_rate_lies_between_both(
    weight: float, own: float, rate: float, strength: float
) -> None:
    """Between its own and the one above."""
    shrunk = float(shrunk_rate(np.array(weight), np.array(weight * own), rate, strength))
    assert min(own, rate) - 1e-12 <= shrunk <= max(own, rate) + 1e-12


@given(st.floats(1e-4, 0.5), st.floats(20, 1_000))
def test_care_has_bounds(rate: float, strength: float) -> None:
    """Below the rate, never below its half."""
    low = float(careful_rate(np.array(rate), strength))
    assert rate / 2 <= low < rate
