"""The sample of transitions: order-free, bounded, and unbiased."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.covisitation import (
    keep_largest,
    priorities,
    transition_scores,
)

HALF_LIFE_S = 1000.0


def test_no_transitions_have_no_scores() -> None:
    """The empty sample."""
    empty = np.empty(0, np.uint32)
    items, scores = transition_scores(empty, empty, empty, empty.astype("u1"), 0, HALF_LIFE_S, 8)
    assert len(items) == len(scores) == 0


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=60),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_keep_largest_is_the_obvious_sort(
    rows: list[tuple[int, int]], capacity: int, random: object
) -> None:
    """The same rows stay as when each group is sorted by itself."""
    group = np.array([g for g, _ in rows], np.int64)
    priority = np.array([p for _, p in rows], np.float64)
    tie = np.arange(len(rows))
    kept = keep_largest(group, priority, tie, capacity)
    expected = []
    for g in sorted(set(group.tolist())):
        mine = sorted(
            (i for i in range(len(rows)) if group[i] == g), key=lambda i: (-priority[i], i)
        )
        expected += mine[:capacity]
    assert kept.tolist() == expected


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_samples_of_parts_make_the_sample_of_the_whole(seed: int, parts: int) -> None:
    """Cutting early or late, in whatever parts, keeps the same transitions."""
    rng = np.random.default_rng(seed)
    n, capacity = 200, 16
    ts_s = rng.integers(0, 5000, n).astype(np.uint32)
    draw = rng.integers(0, 2**32, n, np.uint32)
    distance = rng.integers(1, 4, n).astype(np.uint8)
    key = priorities(ts_s, draw, distance, HALF_LIFE_S)
    one = np.zeros(n, np.int64)
    whole = set(keep_largest(one, key, draw, capacity).tolist())
    kept = np.empty(0, np.int64)
    for part in np.array_split(rng.permutation(n), parts):
        rows = np.r_[kept, part]
        kept = rows[keep_largest(one[: len(rows)], key[rows], draw[rows], capacity)]
    assert set(kept.tolist()) == whole


def test_a_sample_that_is_not_full_counts_exactly() -> None:
    """Up to the capacity the scores are the decayed weights themselves."""
    next_item = np.array([7, 7, 9], np.uint32)
    ts_s = np.array([1000, 2000, 2000], np.uint32)
    distance = np.array([1, 1, 2], np.uint8)
    draw = np.array([1, 2, 3], np.uint32)
    items, scores = transition_scores(next_item, ts_s, draw, distance, 2000, HALF_LIFE_S, 100)
    assert items.tolist() == [7, 9]
    np.testing.assert_allclose(scores, [1.5, 0.5])


def test_a_full_sample_is_unbiased() -> None:
    """Its estimate of the decayed visits, averaged over draws, is the truth.

    500 repetitions of a sum of 400 transitions sampled to 64: the mean lies within 5 standard
    errors, a false alarm of less than one in a million runs.
    """
    rng = np.random.default_rng(4)
    n, capacity, repetitions = 400, 64, 500
    next_item = np.where(rng.random(n) < 0.25, 1, rng.integers(2, 50, n)).astype(np.uint32)
    ts_s = rng.integers(0, 3000, n).astype(np.uint32)
    distance = np.ones(n, np.uint8)
    truth = float(np.exp2((ts_s[next_item == 1] - 3000.0) / HALF_LIFE_S).sum())
    found = []
    for _ in range(repetitions):
        draw = rng.integers(0, 2**32, n, np.uint32)
        key = priorities(ts_s, draw, distance, HALF_LIFE_S)
        kept = keep_largest(np.zeros(n, np.int64), key, draw, capacity)
        items, scores = transition_scores(
            next_item[kept], ts_s[kept], draw[kept], distance[kept], 3000, HALF_LIFE_S, capacity
        )
        found.append(dict(zip(items.tolist(), scores.tolist(), strict=True)).get(1, 0.0))
    error = np.std(found) / np.sqrt(repetitions)
    assert abs(np.mean(found) - truth) < 5 * error


def test_old_transitions_give_way_to_new_ones() -> None:
    """Ten half-lives later a full sample is nearly all new."""
    rng = np.random.default_rng(0)
    ts_s = np.r_[np.zeros(500), np.full(500, 10 * HALF_LIFE_S)].astype(np.uint32)
    draw = rng.integers(0, 2**32, 1000, np.uint32)
    key = priorities(ts_s, draw, np.ones(1000, np.uint8), HALF_LIFE_S)
    kept = keep_largest(np.zeros(1000, np.int64), key, draw, 64)
    assert Counter((ts_s[kept] > 0).tolist())[True] >= 60
