"""Top-k is the only sort of scores: what is not finite comes last, ties keep their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.topk import top_k

SCORES = st.lists(
    st.one_of(st.floats(width=32), st.sampled_from([0.0, 1.0, float("nan"), float("inf")])),
    max_size=40,
)


def sort_one_by_one(scores: list[float], k: int) -> list[int]:
    """The slow twin."""
    worst = float("-inf")
    key = [score if np.isfinite(score) else worst for score in scores]
    return sorted(range(len(scores)), key=lambda row: (-key[row], row))[: max(k, 0)]


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [
        ([], 3, []),
        ([1.0], 0, []),
        ([1.0], -1, []),
        ([2.0, 2.0, 2.0], 2, [0, 1]),
        ([np.nan, np.nan], 2, [0, 1]),
        ([np.inf, 0.5, -np.inf, np.nan], 4, [1, 0, 2, 3]),
        ([0.0, -0.0, 1.0], 3, [2, 0, 1]),
    ],
)
def test_degenerate_rows(scores: list[float], k: int, expected: list[int]) -> None:
    """None, one, equal, infinite, not a number."""
    assert top_k(np.array(scores), k).tolist() == expected


@given(SCORES, st.integers(0, 50))
def test_it_is_what_the_slow_twin_says(scores: list[float], k: int) -> None:
    """For any scores, ties and infinities included."""
    assert top_k(np.array(scores, np.float32), k).tolist() == sort_one_by_one(scores, k)
