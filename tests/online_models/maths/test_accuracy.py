"""Accuracies are functions of the rank of the one right item."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.accuracy import mrr_at, ndcg_at, rank_of, recall_at


@pytest.mark.parametrize("figure", [recall_at, mrr_at, ndcg_at])
def test_bounds(figure) -> None:
    """Nothing asked, all missed, all first."""
    assert figure(np.empty(0, int), 10) == 0
    assert figure(np.array([-1, 10, 99]), 10) == 0
    assert figure(np.zeros(3, int), 10) == 1


@given(st.lists(st.integers(-1, 40), min_size=1), st.integers(1, 30))
def test_they_are_what_the_definitions_say(ranks: list[int], k: int) -> None:
    """One request at a time."""
    hits = [rank for rank in ranks if 0 <= rank < k]
    array = np.array(ranks)
    assert recall_at(array, k) == pytest.approx(len(hits) / len(ranks))
    assert mrr_at(array, k) == pytest.approx(sum(1 / (rank + 1) for rank in hits) / len(ranks))
    gains = sum(1 / np.log2(rank + 2) for rank in hits)
    assert ndcg_at(array, k) == pytest.approx(gains / len(ranks))


def test_a_model_that_says_nothing_is_not_rewarded() -> None:
    """All scores equal: the right item stands in the middle, whichever it is."""
    assert {rank_of(np.zeros(101), row) for row in range(101)} == {50}
