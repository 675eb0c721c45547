"""Order, likelihood and calibration of probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.classification import (
    auc,
    calibration_error,
    calibration_ratio,
    log_loss,
)

NOTHING = np.empty(0)
PREDICTIONS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]), st.integers(0, 1)), min_size=1
)


def test_of_nothing() -> None:
    """Nothing predicted costs nothing and tells nothing apart."""
    assert auc(NOTHING, NOTHING) == 0.5
    assert log_loss(NOTHING, NOTHING) == calibration_error(NOTHING, NOTHING) == 0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_cannot_be_ordered(label: int) -> None:
    """Whatever the scores."""
    assert auc(np.array([0.1, 0.9]), np.full(2, label)) == 0.5


@given(PREDICTIONS)
def test_auc_is_the_share_of_pairs_in_order(predictions: list[tuple[float, int]]) -> None:
    """One pair at a time; an equal pair is half in order."""
    positive = [score for score, label in predictions if label]
    negative = [score for score, label in predictions if not label]
    pairs = [(one > other) + (one == other) / 2 for one in positive for other in negative]
    scores, labels = np.array(predictions).T
    assert auc(scores, labels) == pytest.approx(np.mean(pairs) if pairs else 0.5)
    assert auc(np.exp(3 * scores), labels) == auc(scores, labels)


def test_random_labels_cannot_be_foreseen() -> None:
    """Five standard errors: a false alarm in two million seeds."""
    rng = np.random.default_rng(5)
    found = auc(rng.random(4_000), rng.integers(0, 2, 4_000))
    assert found == pytest.approx(0.5, abs=5 / np.sqrt(12 * 1_000))


def test_a_wrong_certainty_costs_much_and_not_everything() -> None:
    """A single one must not make the mean infinite."""
    assert log_loss(np.array([1.0, 0.0]), np.array([1, 0])) == 0
    assert log_loss(np.array([0.0]), np.array([1])) == pytest.approx(15 * np.log(10))


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1])
def test_what_is_not_finite_counts_as_surely_wrong(nonsense: float, label: int) -> None:
    """Whatever happened."""
    assert log_loss(np.array([nonsense]), np.array([label])) == pytest.approx(15 * np.log(10))


def test_truth_is_calibrated_and_half_of_it_is_not() -> None:
    """Labels drawn from the probabilities; the expected error of 15 bins of 2,000 is some 0.009."""
    rng = np.random.default_rng(7)
    truth = rng.uniform(0, 1, 30_000)
    labels = rng.random(30_000) < truth
    assert calibration_error(truth, labels) < 0.02
    assert calibration_error(truth / 2, labels) == pytest.approx(0.25, abs=0.02)
    assert calibration_ratio(truth, labels) == pytest.approx(1, abs=0.03)
    assert calibration_ratio(truth / 2, labels) == pytest.approx(0.5, abs=0.02)


def test_bins_have_equal_mass() -> None:
    """Errors of opposite sign cancel within a bin and add up over bins."""
    probabilities, labels = np.array([0.1, 0.3, 0.6, 0.8]), np.array([0, 1, 1, 0])
    assert calibration_error(probabilities, labels, bins=1) == pytest.approx(0.2 / 4)
    assert calibration_error(probabilities, labels, bins=2) == pytest.approx((0.6 + 0.4) / 4)
    each_alone = (0.1 + 0.7 + 0.4 + 0.8) / 4
    assert calibration_error(probabilities, labels, bins=4) == pytest.approx(each_alone)
    assert calibration_error(probabilities, labels, bins=15) == pytest.approx(each_alone)


def test_clicks_foreseen_where_there_are_none() -> None:
    """No ratio is large enough."""
    assert calibration_ratio(np.array([0.01]), np.array([0])) == float("inf")
