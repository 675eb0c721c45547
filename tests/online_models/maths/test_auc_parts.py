"""The parts of an AUC have it for their mean, and spread as it does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.auc_parts import auc_parts
from online_models.maths.classification import auc
from online_models.maths.intervals import paired_difference

PREDICTIONS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]), st.integers(0, 1)), min_size=1
)


@given(PREDICTIONS)
def test_their_mean_is_the_auc(predictions: list[tuple[float, int]]) -> None:
    """One class alone and ties included."""
    scores, labels = np.array(predictions).T
    parts = auc_parts(scores, labels)
    assert len(parts) == len(labels)
    assert parts.mean() == pytest.approx(auc(scores, labels))


def test_of_nothing() -> None:
    """No prediction, no part."""
    assert len(auc_parts(np.empty(0), np.empty(0))) == 0


def test_their_interval_is_that_of_resampled_aucs() -> None:
    """The slow twin draws the predictions themselves; both ends agree to a tenth of the width."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 600)
    scores = rng.normal(0.8 * labels, 1).round(1)
    parts = auc_parts(scores, labels)
    found = paired_difference(parts, np.zeros(600), np.arange(600), np.random.default_rng(0))
    drawn = (rng.integers(600, size=600) for _ in range(2_000))
    low, high = np.quantile([auc(scores[rows], labels[rows]) for rows in drawn], [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=(high - low) / 10)
    assert found.high == pytest.approx(high, abs=(high - low) / 10)
