"""MMR takes what is good and unlike what it took before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.mmr import mmr


def pick_one_by_one(
    scores: np.ndarray, vectors: np.ndarray, k: int, diversity: float
) -> list[float]:
    """The slow twin: the marginal value of each pick, so that near-ties may be broken otherwise."""
    low, high = scores.min(), scores.max()
    relevance = (scores - low) / (high - low) if high > low else 0 * scores
    taken: list[int] = []
    values = []
    for _ in range(min(k, len(scores))):
        best, best_value = -1, -np.inf
        for row in range(len(scores)):
            if row in taken:
                continue
            nearest = max((float(vectors[row] @ vectors[other]) for other in taken), default=None)
            penalty = diversity * nearest if nearest is not None else 0.0
            value = (1 - diversity) * relevance[row] - penalty
            if value > best_value:
                best, best_value = row, value
        taken.append(best)
        values.append(best_value)
    return values


def values_of(
    order: list[int], scores: np.ndarray, vectors: np.ndarray, diversity: float
) -> list[float]:
    """The marginal value of each pick of an order."""
    low, high = scores.min(), scores.max()
    relevance = (scores - low) / (high - low) if high > low else 0 * scores
    values = []
    for place, row in enumerate(order):
        nearest = max(
            (float(vectors[row] @ vectors[other]) for other in order[:place]), default=0.0
        )
        values.append((1 - diversity) * relevance[row] - diversity * nearest)
    return values


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(1, 25), st.integers(0, 30), st.floats(0, 1), st.integers(0, 2**32))
def test_it_is_as_good_as_the_slow_twin(n: int, k: int, diversity: float, seed: int) -> None:
    """Pick by pick, whatever the scores and vectors."""
    rng = np.random.default_rng(seed)
    scores, vectors = rng.random(n), unit(rng, n)
    order = mmr(scores, vectors, k, diversity).tolist()
    assert len(set(order)) == len(order) == min(k, n)
    expected = pick_one_by_one(scores, vectors, k, diversity)
    np.testing.assert_allclose(values_of(order, scores, vectors, diversity), expected, atol=1e-4)


@pytest.mark.parametrize("k", [0, 1, 3, 9])
def test_without_scores_the_first_come_first(k: int) -> None:
    """Nothing finite: still as many as asked for, each once."""
    scores = np.array([np.nan, np.inf, -np.inf])
    order = mmr(scores, unit(np.random.default_rng(0), 3), k, 0.3).tolist()
    assert order == list(range(min(k, 3)))


def test_a_score_that_is_not_finite_is_taken_last() -> None:
    """However unlike the others the item is."""
    scores = np.array([np.nan, 0.1, 0.9])
    vectors = np.array([[0, 1], [1, 0], [1, 0]], np.float32)
    assert mmr(scores, vectors, 3, 1.0).tolist()[-1] == 0


def test_no_diversity_is_the_order_of_the_scores() -> None:
    """And the scale of the scores does not matter."""
    rng = np.random.default_rng(1)
    scores, vectors = rng.random(20) * 1e-3, unit(rng, 20)
    assert mmr(scores, vectors, 20, 0.0).tolist() == np.argsort(-scores).tolist()
    shifted = mmr(scores * 1e6 - 5, vectors, 20, 0.4).tolist()
    assert shifted == mmr(scores, vectors, 20, 0.4).tolist()
