"""Heartbeats go where nothing else does, at every look, and not where events are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from freshet.core.events.control import heartbeat_ts_ms
from streams.heartbeats import IdlePartitions, keep_heartbeats

from .conftest import NOW_MS, MemoryProducer


def test_a_partition_is_idle_when_only_its_heartbeat_moved_it() -> None:
    """The first look knows nothing; a partition that comes anew is looked at twice."""
    idle = IdlePartitions()
    assert idle.look({}) == []
    assert idle.look({0: 5, 1: 5}) == []
    assert idle.look({0: 5, 1: 6}) == [0]
    assert idle.look({0: 6, 1: 7, 2: 9}) == [0]
    assert idle.look({0: 7, 1: 7, 2: 9}) == [0, 1, 2]
    assert idle.look({0: 9, 1: 8}) == [1]
    assert idle.look({0: 9, 2: 10}) == [0]
    assert idle.look({0: 9, 2: 10}) == [0, 2]


async def test_heartbeats_carry_their_time_and_survive_a_broker_that_is_away() -> None:
    """One for each idle partition and look."""
    producer: Any = MemoryProducer()
    looks = iter([{3: 7}, {3: 7}, {3: 8}, {3: 9}])

    def positions() -> dict[int, int]:
        producer.failing = len(producer.records) == 1
        try:
            return next(looks)
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await keep_heartbeats(producer, "events", positions, lambda: NOW_MS, every_s=0)
    (record,) = producer.records
    assert record[:3] == ("events", 3, None)
    assert heartbeat_ts_ms(record.value) == NOW_MS
