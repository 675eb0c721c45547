"""What lists are like, against slow twins that follow the definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from online_models.maths.beyond_accuracy import (
    counts_before,
    coverage,
    diversity,
    exposures,
    gini,
    novelty,
    popularity,
)

EMPTY = np.full((3, 4), -1)
SEEDS = st.integers(0, 2**32 - 1)


def random_lists(rng: np.random.Generator, n_items: int = 8) -> np.ndarray:
    """Lists of distinct items, some shorter than others, some empty."""
    lists = np.array([rng.permutation(n_items)[:5] for _ in range(6)])
    lists[np.arange(5) >= rng.integers(0, 6, 6)[:, None]] = -1
    return lists


def test_lists_of_nothing() -> None:
    """Nobody recommended anything, or there was nothing to recommend."""
    assert exposures(EMPTY, 2).tolist() == [0, 0]
    assert coverage(np.zeros(2)) == coverage(np.empty(0)) == 0
    assert gini(np.zeros(2)) == gini(np.empty(0)) == 0
    assert novelty(EMPTY, np.zeros_like(EMPTY), np.zeros(3, int)) == 0
    assert popularity(EMPTY, np.zeros_like(EMPTY)) == 0
    assert diversity(EMPTY, csr_array(np.eye(2))) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12))
def test_gini_is_the_mean_difference_of_two_items(counts: list[int]) -> None:
    """Over all ordered pairs, half of it over the mean."""
    array = np.array(counts)
    mean = array.mean()
    expected = np.abs(array[:, None] - array).mean() / (2 * mean) if mean else 0
    assert gini(array) == pytest.approx(expected)


@given(SEEDS)
def test_counts_are_those_of_the_past(seed: int) -> None:
    """What happens at the request, or later, is not counted."""
    rng = np.random.default_rng(seed)
    items, lists = rng.integers(0, 8, 30), random_lists(rng)
    asked_at = rng.integers(0, 31, len(lists))
    found = counts_before(items, np.arange(30), lists, asked_at)
    for row, listed in enumerate(lists.tolist()):
        past = items[: asked_at[row]].tolist()
        assert found[row].tolist() == [past.count(item) if item >= 0 else 0 for item in listed]


def test_counts_of_a_log_that_holds_nothing() -> None:
    """The first request of all."""
    nothing = np.empty(0, np.int64)
    assert not counts_before(nothing, nothing, np.array([[0, 5, -1]]), np.array([0])).any()


def test_the_usual_is_not_novel() -> None:
    """The only item ever met has no surprise; one never met has the most."""
    counts, totals = np.array([[7], [0]]), np.array([7, 7])
    assert novelty(np.array([[0]]), counts[:1], totals[:1]) == 0
    assert novelty(np.array([[1]]), counts[1:], totals[1:]) == 3


@given(SEEDS)
def test_diversity_is_that_of_all_pairs(seed: int) -> None:
    """One pair at a time; items without content do not count."""
    rng = np.random.default_rng(seed)
    lists, vectors = random_lists(rng), rng.normal(size=(8, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[rng.random(8) < 0.3] = 0
    values = []
    for listed in lists.tolist():
        known = [item for item in listed if item >= 0 and vectors[item].any()]
        pairs = [1 - vectors[one] @ vectors[two] for one, two in combinations(known, 2)]
        values += [np.mean(pairs)] if pairs else []
    found = diversity(lists, csr_array(vectors))
    assert found == (pytest.approx(np.mean(values)) if values else None)
