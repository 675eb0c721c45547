"""AUC by slate compares what one user saw at one time, and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.classification import auc
from online_models.maths.slate_auc import mixed_slates, slate_aucs

SLOTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
)


def test_of_nothing() -> None:
    """No item, no slate; no slate of both kinds, no figure."""
    none = np.empty(0, np.int64)
    assert slate_aucs(none, none, none).tolist() == []
    assert slate_aucs(np.arange(3), np.array([1, 1, 0]), np.array([4, 4, 7])).tolist() == []


def test_what_tells_slates_apart_tells_nothing_within_them() -> None:
    """Users who click on all but one, with high scores for all: pooled .86, by slate .5."""
    slate = np.repeat(np.arange(40), 5)
    eager = slate % 2 == 0
    labels = np.where(eager, np.arange(200) % 5 != 0, np.arange(200) % 5 == 0)
    scores = np.where(eager, 0.9, 0.1)
    assert auc(scores, labels) == 0.8
    assert slate_aucs(scores, labels, slate).tolist() == [0.5] * 40


@given(SLOTS)
def test_it_is_that_of_the_slow_twin(slots: list[tuple[int, int, float]]) -> None:
    """All pairs of each slate, a tie is half."""
    slots.sort(key=lambda each: each[0])
    expected = []
    for number in range(6):
        clicked = [score for slate, label, score in slots if (slate, label) == (number, 1)]
        others = [score for slate, label, score in slots if (slate, label) == (number, 0)]
        pairs = [(a > b) + (a == b) / 2 for a in clicked for b in others]
        expected += [sum(pairs) / len(pairs)] if pairs else []
    slate, labels, scores = np.array(slots, float).reshape(-1, 3).T
    found = slate_aucs(scores, labels, slate.astype(np.int64))
    assert found.round(9).tolist() == np.round(expected, 9).tolist()
    assert len(mixed_slates(slate.astype(np.int64), labels)) == len(expected)
