"""Aversion: evidence against an item, net of what speaks for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.aversion import (
    KINSHIP_FROM,
    KINSHIP_FULL,
    MIN_FACTOR,
    demoted,
    demotion,
    kinship,
    net_aversion,
)

EVIDENCE = st.lists(st.floats(0, 1_000, width=32), max_size=20)


def test_without_a_rejection_nothing_is_averse() -> None:
    """Whatever was accepted; nothing at all is no division by zero."""
    assert net_aversion(np.zeros(3), np.array([0, 1, 50])).tolist() == [0, 0, 0]
    assert net_aversion(np.zeros(0), np.zeros(0)).tolist() == []


def test_one_rejection_of_what_is_otherwise_liked_weighs_next_to_nothing() -> None:
    """And six of what is not weigh in full."""
    weights = net_aversion(np.array([1.0, 1.0, 6.0, 6.0]), np.array([20.0, 1.0, 3.0, 0.0]))
    assert weights.tolist() == pytest.approx([1 / 21, 0.5, 4, 6])


@given(EVIDENCE, st.floats(0, 100, width=32))
def test_more_rejections_weigh_more_and_more_acceptance_less(
    against: list[float], liked: float
) -> None:
    """Never above what was rejected, never below 0."""
    rejected = np.array(against, np.float32)
    weights = net_aversion(rejected, np.full(len(rejected), liked))
    assert ((weights >= 0) & (weights <= rejected * 1.0001)).all()
    assert (net_aversion(rejected + 1, np.full(len(rejected), liked)) >= weights - 1e-3).all()
    assert (net_aversion(rejected, np.full(len(rejected), liked + 1)) <= weights + 1e-3).all()


def test_most_pairs_of_a_catalogue_are_no_kin() -> None:
    """Opposite, orthogonal and a little alike are nothing; the same, or nearly, is all."""
    assert kinship(np.array([-1, 0, KINSHIP_FROM])).tolist() == [0, 0, 0]
    assert kinship(np.array([KINSHIP_FULL, 1, 1.0000001])).tolist() == pytest.approx([1, 1, 1])


def test_the_least_averse_keeps_its_score_and_nothing_is_lowered_for_ever() -> None:
    """Also where all are averse alike; a logarithm of the factor stays finite."""
    assert demotion(np.zeros(0), 1.0).tolist() == []
    assert demotion(np.full(3, 8.0), 1.0).tolist() == [1, 1, 1]
    factors = demotion(np.array([1.0, 4.0, 1e9]), 0.1)
    assert factors.tolist() == pytest.approx([1, np.exp(-0.7), MIN_FACTOR])


def test_several_rejections_weigh_more_than_their_number() -> None:
    """One is mild, six are not; both against an item that nothing is known against."""
    _, one, six = demotion(np.array([0.0, 1.0, 6.0]), 0.5).tolist()
    assert one > 0.5
    assert six < one**6


def test_a_weight_of_0_leaves_all_as_it_is() -> None:
    """Bit for bit."""
    scores = np.array([0.3, -0.2, 0.0], np.float32)
    factors = demotion(np.array([5.0, 1.0, 0.0]), 0.0)
    assert factors.tolist() == [1, 1, 1]
    assert demoted(scores, factors).tobytes() == scores.tobytes()


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=10), st.floats(0, 1, width=32))
def test_a_lower_factor_never_raises_a_score(scores: list[float], factor: float) -> None:
    """Above 0 it is a product; below 0 it falls further."""
    given_scores = np.array(scores, np.float32)
    lowered = demoted(given_scores, np.full(len(scores), factor, np.float32))
    assert (lowered <= given_scores).all()
    positive = given_scores > 0
    np.testing.assert_allclose(lowered[positive], given_scores[positive] * factor, atol=1e-5)
