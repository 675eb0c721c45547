"""The item fold does not depend on the order of its rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import EVENT_TYPES, TYPE_CODES
from freshet.core.state.records import (
    COVISIT_CAPACITY,
    COVISIT_DTYPE,
    TREND_HALF_LIVES_S,
    unpack_items,
)
from online_models.maths.trending import add_events
from streams.deltas import ACTIVITY_DTYPE, ADDS_PERSON, ADDS_RATE, COVISIT_ROW_DTYPE
from streams.item_fold import fold_covisits, fold_items

HALF_LIFE_S = 1000.0
START_MS = 1_700_000_000_000


def activity_rows(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.zeros(n, ACTIVITY_DTYPE)
    rows["ts_ms"] = START_MS + rng.integers(0, 10**8, n)
    rows["type"] = rng.integers(0, len(EVENT_TYPES), n)
    rows["weight"] = rng.integers(0, 4, n)
    rows["adds"] = rng.integers(0, 4, n)
    rows["segment"] = rng.integers(0, 4, n)
    return rng.integers(0, 3, n), rows


@given(st.integers(0, 60), st.integers(1, 5), st.integers(0, 2**32))
def test_counters_do_not_depend_on_order_or_batches(n: int, parts: int, seed: int) -> None:
    """Sums, maxima and rings: the same bytes."""
    rng = np.random.default_rng(seed)
    item, rows = activity_rows(rng, n)
    together = unpack_items([None] * 3)
    fold_items(together, item, rows)
    one_by_one = unpack_items([None] * 3)
    for part in np.array_split(rng.permutation(n), parts):
        fold_items(one_by_one, item[part], rows[part])
    assert together.tobytes() == one_by_one.tobytes()


@given(st.integers(0, 60), st.integers(0, 2**32))
def test_the_rings_are_those_of_the_maths(n: int, seed: int) -> None:
    """Bucket for bucket."""
    item, rows = activity_rows(np.random.default_rng(seed), n)
    items = unpack_items([None] * 3)
    expected, newest = add_events(
        items["trend"], items["last_ts_ms"], item, rows["ts_ms"],
        rows["weight"].astype(np.uint32), TREND_HALF_LIVES_S,
    )  # fmt: skip
    fold_items(items, item, rows)
    assert np.array_equal(items["trend"], expected)
    assert np.array_equal(items["last_ts_ms"], newest)
    oldest = [rows["ts_ms"][item == each].min(initial=2**62) % 2**62 for each in range(3)]
    assert items["first_ts_ms"].tolist() == oldest


def test_clicks_and_impressions_count_by_segment() -> None:
    """The Beta posterior of an arm is read from these."""
    rows = np.zeros(3, ACTIVITY_DTYPE)
    rows["ts_ms"] = START_MS
    rows["type"] = [TYPE_CODES["impression"], TYPE_CODES["impression"], TYPE_CODES["click"]]
    rows["segment"] = [2, 2, 2]
    rows["adds"] = ADDS_RATE
    items = unpack_items([None])
    fold_items(items, np.zeros(3, np.int64), rows)
    found = items[0]
    assert found["impressions"].tolist() == [0, 0, 2, 0]
    assert found["clicks"].tolist() == [0, 0, 1, 0]
    assert found["first_ts_ms"] == found["last_ts_ms"] == START_MS
    assert found["people"] == 0


def test_what_adds_nothing_is_counted_as_a_fact_alone() -> None:
    """By its type; neither a trend, nor a rate, nor a person comes of it."""
    rows = np.zeros(3, ACTIVITY_DTYPE)
    rows["ts_ms"] = START_MS
    rows["type"] = TYPE_CODES["click"]
    rows["weight"], rows["adds"] = [1, 0, 0], [ADDS_PERSON | ADDS_RATE, 0, ADDS_PERSON]
    items = unpack_items([None])
    fold_items(items, np.zeros(3, np.int64), rows)
    found = items[0]
    assert found["type_counts"][TYPE_CODES["click"]] == 3
    assert found["clicks"].sum() == 1
    assert found["people"] == 2
    assert found["trend"].sum(axis=1).tolist() == [1, 1, 1, 1]


def covisit_rows(rng: np.random.Generator, n: int) -> np.ndarray:
    rows = np.zeros(n, COVISIT_ROW_DTYPE)
    rows["next"] = rng.integers(0, 50, n)
    rows["ts_s"] = rng.integers(0, 5000, n)
    rows["draw"] = rng.integers(0, 2**32, n)
    rows["distance"] = rng.integers(1, 3, n)
    return rows


def sorted_rows(sample: bytes) -> list[tuple]:
    return sorted(np.frombuffer(sample, COVISIT_DTYPE).tolist())


@settings(max_examples=40)
@given(st.integers(0, 1500), st.integers(1, 6), st.integers(0, 2**32))
def test_samples_do_not_depend_on_order_or_batches(n: int, parts: int, seed: int) -> None:
    """Whole or cut, the same transitions stay."""
    rng = np.random.default_rng(seed)
    rows, item = covisit_rows(rng, n), rng.integers(0, 2, n)
    together = fold_covisits([b"", b""], item, rows, HALF_LIFE_S)
    parted = [b"", b""]
    for part in np.array_split(rng.permutation(n), parts):
        parted = fold_covisits(parted, item[part], rows[part], HALF_LIFE_S)
    assert [sorted_rows(s) for s in together] == [sorted_rows(s) for s in parted]
    assert all(len(s) <= COVISIT_CAPACITY * COVISIT_DTYPE.itemsize for s in parted)


def test_a_sample_that_nothing_entered_is_the_same_object() -> None:
    """So that it need not be written again."""
    rng = np.random.default_rng(0)
    rows = covisit_rows(rng, 2000)
    rows["ts_s"] += 100_000
    full = fold_covisits([b""], np.zeros(2000, np.int64), rows, HALF_LIFE_S)
    old = covisit_rows(rng, 5)
    assert fold_covisits(full, np.zeros(5, np.int64), old, HALF_LIFE_S)[0] is full[0]
