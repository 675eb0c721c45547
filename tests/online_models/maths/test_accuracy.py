"""Accuracies are functions of the rank of the one right item."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.accuracy import (
    gains_at,
    hits_at,
    mrr_at,
    ndcg_at,
    rank_of,
    recall_at,
    reciprocal_ranks_at,
)


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


def test_every_request_is_valued_as_the_public_tool_does() -> None:
    """trec_eval, through ir-measures, on lists of any length with and without the right item."""
    rng = np.random.default_rng(3)
    ranks, right, lists = [], [], []
    for request in range(200):
        items = rng.permutation(30)[: rng.integers(1, 21)]
        target = rng.integers(30)
        ranks.append(int(np.flatnonzero(items == target)[0]) if target in items else -1)
        right.append(ir_measures.Qrel(f"{request:03}", str(target), 1))
        lists += [
            ir_measures.ScoredDoc(f"{request:03}", str(item), -float(place))
            for place, item in enumerate(items)
        ]
    ours = {
        ir_measures.R @ 10: hits_at(np.array(ranks), 10),
        ir_measures.R @ 20: hits_at(np.array(ranks), 20),
        ir_measures.RR @ 20: reciprocal_ranks_at(np.array(ranks), 20),
        ir_measures.nDCG @ 10: gains_at(np.array(ranks), 10),
    }
    assert 0 < ours[ir_measures.R @ 10].mean() < ours[ir_measures.R @ 20].mean() < 1
    theirs = {measure: np.full(200, np.nan) for measure in ours}
    for found in ir_measures.iter_calc(list(ours), right, lists):
        theirs[found.measure][int(found.query_id)] = found.value
    for measure, values in ours.items():
        np.testing.assert_allclose(values, theirs[measure], atol=1e-9, err_msg=str(measure))


def test_a_model_that_says_nothing_is_not_rewarded() -> None:
    """All scores equal: the right item stands in the middle, whichever it is."""
    assert {rank_of(np.zeros(101), row) for row in range(101)} == {50}
