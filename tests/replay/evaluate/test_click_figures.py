"""What is known beforehand of clicks comes out, and what cannot be said is None."""

from dataclasses import replace

import numpy as np
import pytest

from online_models.maths.classification import auc, calibration_error, log_loss
from online_models.maths.slate_auc import mixed_slates, slate_aucs
from replay.evaluate.click_figures import Estimate, click_figures
from replay.evaluate.impressions import Impressions
from replay.evaluate.request import PRODUCT

N, DAY_MS = 6_000, 86_400_000


@pytest.fixture(scope="module")
def found() -> Impressions:
    """Clicks drawn from rates: the product knows them but says half, one says noise, one twice."""
    rng = np.random.default_rng(3)
    rates = rng.uniform(0.05, 0.45, N)
    return Impressions(
        slates=900,
        not_offered=7,
        slate=np.arange(N) * 900 // N,
        users=rng.integers(0, 300, N),
        ts_ms=np.sort(rng.integers(0, 5 * DAY_MS, N)),
        clicked=rng.random(N) < rates,
        scores={PRODUCT: rates / 2, "noise": rng.random(N), "truth": rates},
        probabilities=frozenset([PRODUCT, "truth"]),
    )


def holds(estimate: Estimate | None, value: float) -> bool:
    """Whether an interval is known and holds a value."""
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= value <= estimate.high


def test_values_are_those_of_the_measures(found: Impressions) -> None:
    """To rounding, each within its interval."""
    figures = click_figures(found)
    product = figures.product
    assert (figures.slates, figures.impressions, figures.not_offered) == (900, N, 7)
    assert figures.click_rate == found.clicked.mean()
    assert [each.contestant for each in figures.scores] == [PRODUCT, "noise", "truth"]
    scores = found.scores[PRODUCT]
    assert product.log_loss is not None
    assert product.auc.value == pytest.approx(auc(scores, found.clicked))
    assert product.log_loss.value == pytest.approx(log_loss(scores, found.clicked))
    assert product.calibration_error == calibration_error(scores, found.clicked)
    assert holds(product.auc, product.auc.value)
    assert holds(product.log_loss, product.log_loss.value)


def test_half_of_the_clicks_is_half_of_them(found: Impressions) -> None:
    """Whatever the order says: it is that of the truth, and nothing is gained over it."""
    product, _, truth = click_figures(found).scores
    assert holds(product.foreseen_over_true, 0.5)
    assert holds(truth.foreseen_over_true, 1.0)
    assert product.auc == truth.auc
    assert truth.auc_gap == Estimate(0.0, 0.0, 0.0)
    assert product.auc_gap is None


def test_noise_tells_nothing_and_is_no_probability(found: Impressions) -> None:
    """An AUC of one half, well below that of the product."""
    noise = click_figures(found).scores[1]
    assert holds(noise.auc, 0.5)
    assert noise.auc_gap is not None
    assert noise.auc_gap.low is not None
    assert noise.auc_gap.low > 0.1
    assert (noise.log_loss, noise.calibration_error, noise.foreseen_over_true) == (None,) * 3


def test_few_people_say_nothing_of_how_people_differ() -> None:
    """A value without an interval."""
    few = Impressions(
        slates=2,
        not_offered=0,
        slate=np.array([0, 0, 1, 1]),
        users=np.array([0, 0, 1, 1]),
        ts_ms=np.zeros(4, np.int64),
        clicked=np.array([False, True, False, True]),
        scores={PRODUCT: np.array([0.2, 0.4, 0.5, 0.9])},
        probabilities=frozenset([PRODUCT]),
    )
    product = click_figures(few).product
    assert product.auc == Estimate(0.75, None, None)
    assert product.foreseen_over_true == Estimate(1.0, None, None)


def test_a_pooled_gain_may_be_a_loss_within_slates() -> None:
    """The product knows who clicks, the click rate knows what is clicked: it wins by slate."""
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(400), 6)
    eager, good = users % 2 == 0, np.arange(len(users)) % 6 < 2
    clicked = rng.random(len(users)) < np.where(eager, 0.6, 0.1) + 0.2 * good
    found = Impressions(
        slates=400,
        not_offered=0,
        slate=users,
        users=users,
        ts_ms=np.arange(len(users)) * 60_000,
        clicked=clicked,
        scores={PRODUCT: np.where(eager, 0.9, 0.1), "rate": good.astype(float)},
        probabilities=frozenset(),
    )
    figures = click_figures(found)
    product, rate = figures.scores
    assert figures.mixed_slates == len(mixed_slates(users, clicked))
    assert product.auc.value > 0.7 > rate.auc.value
    assert product.slate_auc == Estimate(0.5, 0.5, 0.5)
    assert rate.slate_auc is not None
    assert rate.slate_auc.value == slate_aucs(good, clicked, users).mean() > 0.55
    assert rate.auc_gap is not None
    assert rate.slate_auc_gap is not None
    assert rate.auc_gap.value > 0 > (rate.slate_auc_gap.high or 0)
    assert figures.best_baseline == rate


def test_slates_of_one_item_say_nothing_by_slate(found: Impressions) -> None:
    """The pooled figure is there all the same."""
    figures = click_figures(replace(found, slate=np.arange(N)))
    assert figures.mixed_slates == 0
    assert figures.product.slate_auc is None
    assert figures.scores[1].slate_auc_gap is None
    assert figures.best_baseline == figures.scores[2]


def test_a_likelier_probability_is_a_smaller_log_loss(found: Impressions) -> None:
    """Half of the true rate is worse than the rate."""
    product, noise, truth = click_figures(found).scores
    assert truth.log_loss_gap is not None
    assert (truth.log_loss_gap.low or 0) > 0
    assert (product.log_loss_gap, noise.log_loss_gap) == (None, None)
