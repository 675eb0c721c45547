"""Trending rings: order-free whole counts, and a decay evaluated when read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.maths.trending import add_events, bucket_widths_ms, trend_rates

HALF_LIVES_S = (40, 400)
BUCKETS = 16

Event = tuple[int, int, int]


def empty(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((n, 2, BUCKETS), np.uint32), np.zeros(n, np.int64)


def fold(events: list[Event], parts: int = 1, n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    trend, last = empty(n)
    for part in np.array_split(np.arange(len(events)), parts):
        rows = [events[i] for i in part]
        item = np.array([r[0] for r in rows], np.int64)
        ts_ms = np.array([r[1] for r in rows], np.int64)
        weight = np.array([r[2] for r in rows], np.uint32)
        trend, last = add_events(trend, last, item, ts_ms, weight, HALF_LIVES_S)
    return trend, last


def counts_one_by_one(events: list[Event], level: int, n: int = 3) -> list[dict[int, int]]:
    """The slow twin: every event counted in its bucket, buckets behind the ring forgotten."""
    width = int(bucket_widths_ms(HALF_LIVES_S)[level])
    found: list[dict[int, int]] = [{} for _ in range(n)]
    for item in range(n):
        mine = [(ts // width, weight) for i, ts, weight in events if i == item]
        head = max((bucket for bucket, _ in mine), default=0)
        for bucket, weight in mine:
            if bucket > head - BUCKETS:
                found[item][bucket] = found[item].get(bucket, 0) + weight
    return found


events = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 2_000_000), st.integers(0, 3)), max_size=40
)


@given(events, st.integers(1, 5))
def test_rings_hold_what_the_slow_twin_counts(rows: list[Event], parts: int) -> None:
    """Bucket by bucket, in one call or in many."""
    trend, last = fold(rows, parts)
    for level in range(2):
        width = int(bucket_widths_ms(HALF_LIVES_S)[level])
        expected = counts_one_by_one(rows, level)
        for item in range(3):
            head = int(last[item]) // width
            ring = {
                bucket: int(trend[item, level, bucket % BUCKETS])
                for bucket in range(max(head - BUCKETS + 1, 0), head + 1)
            }
            assert {b: c for b, c in ring.items() if c} == {
                b: c for b, c in expected[item].items() if c
            }


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(rows: list[Event], random: object) -> None:
    """A late event is counted or dropped the same, whenever it comes."""
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for one, other in zip(fold(rows), fold(shuffled, parts=3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rate_halves_in_a_half_life() -> None:
    """Whatever the half-life is."""
    trend, last = fold([(0, 1_000_000, 1)])
    now = trend_rates(trend, last, 1_000_000, HALF_LIVES_S)[0]
    later = trend_rates(trend, last, 1_040_000, HALF_LIVES_S)[0]
    assert later[0] == pytest.approx(now[0] / 2, rel=0.15)  # the age is the bucket's, 10 s wide
    assert trend_rates(trend, last, 9_000_000, HALF_LIVES_S)[0, 0] == pytest.approx(0, abs=1e-9)


def test_a_steady_rate_is_measured() -> None:
    """Two events a second for ten half-lives read as about two a second."""
    rows = [(0, ts, 1) for ts in range(500, 400_000, 500)]
    trend, last = fold(rows)
    assert trend_rates(trend, last, 400_000, HALF_LIVES_S)[0, 0] == pytest.approx(2, rel=0.1)


def test_an_item_without_events_has_no_rate() -> None:
    """And nothing is divided by zero."""
    trend, last = empty(2)
    assert trend_rates(trend, last, 10**12, HALF_LIVES_S).tolist() == [[0, 0], [0, 0]]
