"""Tests of benchmarks.memory and benchmarks.workload."""

import msgspec
import numpy as np
import pytest

from benchmarks.memory import INTERACTIONS_ONLY, measure_items, measure_users
from benchmarks.workload import TYPE_SHARES, encoded_events, users_of
from freshet.core.events.partition import partition_of
from freshet.core.state.records import HISTORY_LENGTH, ITEM_DTYPE


def test_no_users_are_nowhere() -> None:
    """And every user is in one partition."""
    assert users_of(0, 4, 0) == []
    found = [users_of(partition, 4, 50) for partition in range(4)]
    assert sorted(name for names in found for name in names) == sorted(
        f"user-{number}" for number in range(50)
    )
    assert all(partition_of(name, 4) == 2 for name in found[2])


def test_events_are_of_the_users_and_times_that_were_asked_for() -> None:
    """Ids tell seed and row, both in hexadecimal digits."""
    keys, values = encoded_events(
        20, users=5, items=3, seed=31, start_ts_ms=1_000, user_ids=["ann", "bob"]
    )
    events = [msgspec.json.decode(value) for value in values]
    assert set(keys) == {b"ann", b"bob"}
    assert [event["ts_ms"] for event in events] == [1_000 + 10 * row for row in range(20)]
    assert [event["event_id"] for event in events[9:11]] == ["1f-9", "1f-a"]


@pytest.mark.services
async def test_a_user_takes_the_record_and_a_little_more() -> None:
    """A full history costs its rows; the figure is bytes of Redis by user, not by record."""
    n = 2_000  # the script and its buffers take some 0.2 MB, whatever the number of users
    mixed = await measure_users(n, HISTORY_LENGTH, TYPE_SHARES)
    full = await measure_users(n, HISTORY_LENGTH, INTERACTIONS_ONLY)
    for found in (mixed, full):
        assert found["record_bytes"] < found["redis_bytes"] < found["record_bytes"] + 400
    rows = full["record_bytes"] - mixed["record_bytes"]
    assert rows == pytest.approx(HISTORY_LENGTH / 2 * 6, rel=0.1)


@pytest.mark.services
async def test_an_item_takes_record_and_transitions() -> None:
    """None is nothing; the record has one size, whatever happened to the item."""
    assert await measure_items(0, 50) == {}
    found = await measure_items(300, 50)
    parts = found["redis_bytes_per_item_record"] + found["redis_bytes_per_item_transitions"]
    assert found["redis_bytes_per_item"] == pytest.approx(parts, abs=0.2)
    assert found["redis_bytes_per_item_record"] > ITEM_DTYPE.itemsize
    assert np.isfinite(parts)
