"""The table of items: rows that stay, and records as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import CLICK, IMPRESSION, Item
from freshet.core.state.records import TREND_HALF_LIVES_S, unpack_items
from online_models.maths.trending import trend_rates
from serving.item_table import ItemTable, decay

NOW_MS = 1_763_800_000_000


def test_an_empty_table_knows_nothing() -> None:
    """No rows, no offers, no time."""
    table = ItemTable()
    assert table.size == 0
    assert table.now_ms == 0
    assert table.row("a") == -1
    assert table.rows(["a", "b"]).tolist() == [-1, -1]
    assert table.rows_of_hashes(np.array([1], np.uint32)).tolist() == [-1]
    assert not table.offers("a")
    assert table.offered_ids() == set()
    assert table.rows_in_categories(["x"]).tolist() == []


def test_rows_stay_while_the_table_grows() -> None:
    """A row number found before is the same item afterwards."""
    table = ItemTable(capacity=2)
    table.offer([Item(item_id="a", title="A"), Item(item_id="b", title="B")])
    before = table.row("b")
    table.offer([Item(item_id=f"c{number}", title="C") for number in range(100)])
    assert table.row("b") == before
    assert table.entries[before] == Item(item_id="b", title="B")
    assert table.hashes(np.array([before])).tolist() == item_hashes(["b"]).tolist()
    assert table.rows_of_hashes(item_hashes(["b"])).tolist() == [before]
    assert (table.categories[before] == -1).all()


def test_an_item_offered_twice_has_one_row() -> None:
    """The later entry wins, the earlier category lets go."""
    table = ItemTable()
    table.offer([Item(item_id="a", categories=["old", "both"])])
    table.offer([Item(item_id="a", categories=["both", "new"])])
    assert table.size == 1
    assert table.rows_in_categories(["old"]).tolist() == []
    assert table.rows_in_categories(["new", "both"]).tolist() == [0]


def test_a_withdrawn_item_keeps_its_counts_and_comes_back() -> None:
    """Only the offer ends."""
    table = ItemTable()
    table.offer([Item(item_id="a", categories=["x"])])
    record = unpack_items([None])
    record["impressions"] = 7
    table.put_records(["a"], record)
    table.withdraw(["a", "never heard of"])
    assert not table.offers("a")
    assert table.rows_in_categories(["x"]).tolist() == []
    assert table.impressions[0].tolist() == [7, 7, 7, 7]
    table.offer([Item(item_id="a", categories=["x"])])
    assert table.offers("a")


def test_records_become_columns() -> None:
    """Popularity is people and not events; the newest event moves the table's time."""
    table = ItemTable()
    records = unpack_items([None, None])
    records["last_ts_ms"] = [NOW_MS, NOW_MS - 5000]
    records["first_ts_ms"] = NOW_MS - 9000
    records["type_counts"][:, IMPRESSION] = 100
    records["type_counts"][:, CLICK] = 1_200
    records["people"] = [3, 4]
    table.put_records(["a", "b"], records)
    assert table.now_ms == NOW_MS
    assert table.interactions[:2].tolist() == [3, 4]
    assert table.last_ts_ms[:2].tolist() == [NOW_MS, NOW_MS - 5000]
    assert not table.offers("a")


@given(st.integers(0, 400_000), st.integers(1, 2**32 - 1))
def test_rates_read_later_are_those_of_the_counters_read_later(later_s: int, seed: int) -> None:
    """One multiplication gives what the rings of buckets give, the slow way."""
    rng = np.random.default_rng(seed)
    records = unpack_items([None] * 3)
    records["last_ts_ms"] = NOW_MS - np.array([0, 10_000_000, 100_000_000])
    records["trend"] = rng.integers(0, 9, records["trend"].shape)
    table = ItemTable()
    # The head bucket of a ring may lie ahead of its newest event: read one half-life later.
    table.now_ms = NOW_MS + max(TREND_HALF_LIVES_S) * 1000
    table.put_records(["a", "b", "c"], records)
    now_ms = table.now_ms + later_s * 1000
    slow = trend_rates(records["trend"], records["last_ts_ms"], now_ms, TREND_HALF_LIVES_S)
    np.testing.assert_allclose(table.rates_at(np.arange(3), now_ms), slow, rtol=1e-4, atol=1e-12)


def test_transitions_are_shares_and_follow_their_changes(covisits: Any) -> None:
    """Two of three visitors went to b; after a change the new ones count."""
    table = ItemTable()
    table.offer([Item(item_id=item_id) for item_id in "abc"])
    (item_hash,) = item_hashes(["a"]).tolist()
    assert table.transitions(0, NOW_MS, 3600)[0].tolist() == []
    table.put_covisits([item_hash], [covisits("b", "c", "b", "unheard of")])
    rows, shares = table.transitions(0, NOW_MS, 3600)
    assert rows.tolist() == [1, 2]
    assert shares.tolist() == pytest.approx([0.5, 0.25])
    table.put_covisits([item_hash], [covisits("c")])
    assert table.transitions(0, NOW_MS, 3600)[0].tolist() == [2]
    table.put_covisits([item_hash], [None])
    assert table.transitions(0, NOW_MS, 3600)[0].tolist() == []


def test_a_sample_names_what_followed(covisits: Any) -> None:
    """Row by row as it was packed; after a change the new ones stand there."""
    table = ItemTable()
    table.offer([Item(item_id=item_id) for item_id in "abc"])
    (item_hash,) = item_hashes(["a"]).tolist()
    assert [len(column) for column in table.sample(0)] == [0, 0, 0]
    blob = covisits("b", "c", "never", ages_s=[0, 5, 9], distances=2)
    table.put_covisits([item_hash], [blob])
    sample = table.sample(0)
    assert sample.rows.tolist() == [1, 2, -1]
    assert (NOW_MS // 1000 - sample.ts_s).tolist() == [0, 5, 9]
    assert sample.distance.tolist() == [2, 2, 2]
    table.put_covisits([item_hash], [covisits("c")])
    assert table.sample(0).rows.tolist() == [2]
    table.put_covisits([item_hash], [None])
    assert table.sample(0).rows.tolist() == []


def test_an_item_that_comes_to_be_known_is_found_in_older_transitions(covisits: Any) -> None:
    """Transitions and records come from different partitions, in any order."""
    table = ItemTable()
    table.offer([Item(item_id="a"), Item(item_id="b")])
    table.put_covisits(item_hashes(["a"]).tolist(), [covisits("b", "c", "c")])
    assert table.sample(0).rows.tolist() == [1, -1, -1]
    assert table.transitions(0, NOW_MS, 3600)[0].tolist() == [1]
    table.put_records(["c"], unpack_items([None]))
    assert table.sample(0).rows.tolist() == [1, 2, 2]
    assert table.transitions(0, NOW_MS, 3600)[0].tolist() == [2, 1]


def test_decay_never_makes_more_of_something() -> None:
    """What lies ahead counts as now."""
    then = np.array([NOW_MS + 10_000, NOW_MS, NOW_MS - 1000])
    assert decay(then, NOW_MS, 1000.0).tolist() == [1.0, 1.0, 0.5]
