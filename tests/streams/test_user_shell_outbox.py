"""The user fold tells what it wrote, all of it, in its order, and nothing else."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from freshet.core.errors import PositionError, ServiceError
from freshet.core.events.producer import Record
from streams.clearing import keep_clear
from streams.deltas import decode_deltas
from streams.fold_shell import FoldContext
from streams.memory_store import MemoryStore

from .conftest import MemoryProducer
from .test_user_shell import PARTITION, batch, clicks, delta_offsets, event, started


def untold(context: FoldContext) -> int:
    store: Any = context.store
    return len(store.hashes.get(context.keys.outbox(PARTITION), {}))


@pytest.mark.parametrize("lost", ["flushed", "rewound"])
async def test_a_user_read_from_a_store_that_lost_state_tells_nobody_anything(
    context: FoldContext, tmp_path: Path, lost: str
) -> None:
    """A copy of an event, of a user who is not in memory: its delta would be a second count."""
    shell = await started(context, tmp_path)
    store: Any = context.store
    await shell.apply([batch([event(0)])])
    before = copy.deepcopy((store.hashes, store.positions))
    await shell.apply([batch([event(1)], start=1)])
    shell._cache = shell._new_cache()  # as a rebalance leaves it
    store.hashes, store.positions = ({}, {}) if lost == "flushed" else before
    with pytest.raises(PositionError, match="position"):
        await shell.apply([batch([event(1)], start=2)])
    assert delta_offsets(context) == [0, 1]


async def test_a_crash_before_the_write_tells_nothing(context: FoldContext, tmp_path: Path) -> None:
    """The next worker writes, and tells, once."""
    store: Any = context.store
    crashing = await started(context, tmp_path)
    store.positions[crashing.position_key(PARTITION)] = {"next": 77}  # as if rewound meanwhile
    with pytest.raises(PositionError):
        await crashing.apply([batch([event(n) for n in range(5)])])
    store.positions.clear()
    again = await started(context, tmp_path)
    await again.apply([batch([event(n) for n in range(4)])])
    await again.apply([batch([event(n) for n in range(4, 6)], start=4)])
    assert clicks(context) == 6
    assert delta_offsets(context) == [*range(6)]


async def test_what_a_worker_could_not_tell_the_next_one_tells(
    context: FoldContext, tmp_path: Path
) -> None:
    """All of it: deltas, dead letters and outcomes, in their order and before anything new."""
    producer: Any = context.producer
    shell = await started(context, tmp_path)
    producer.failing = True
    with pytest.raises(ServiceError, match="not delivered"):
        await shell.apply([batch([event(0), event(1), b"{bad"])])
    assert (clicks(context), untold(context), producer.records) == (2, 1, [])
    producer.failing = False
    again = await started(context, tmp_path)
    assert delta_offsets(context) == [0, 1]
    assert len(producer.values("freshet.dead-letters")) == 1
    assert len(producer.values("freshet.slates")) == 1
    await again.apply([batch([event(2)], start=3)])
    assert delta_offsets(context) == [0, 1, 3]


async def test_two_rounds_that_nobody_told_are_told_in_their_order(
    context: FoldContext, tmp_path: Path
) -> None:
    """However many digits their offsets have."""
    store, producer = cast(MemoryStore, context.store), cast(MemoryProducer, context.producer)
    shell = await started(context, tmp_path)
    left: dict[str, bytes] = {}
    for first in (8, 9):  # their entries are 9 and 10
        await shell.apply([batch([event(first)], start=first)])
        left |= store.hashes[context.keys.outbox(PARTITION)]
    assert sorted(left) == ["10", "9"]
    store.hashes[context.keys.outbox(PARTITION)] = left
    producer.records.clear()
    await started(context, tmp_path)
    values = producer.values("freshet.item-deltas")
    offsets = [decode_deltas(raw or b"").activity_rows()["offset"][0] for raw in values]
    assert offsets == [8, 9]


async def test_nobody_waits_for_kafka_to_read_the_state(
    context: FoldContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round is written while the one before is told of; it is told of behind that one."""
    producer = cast(MemoryProducer, context.producer)
    deliver, go = producer.deliver, asyncio.Event()

    async def slow_deliver(records: Sequence[Record]) -> list[str | None]:
        await go.wait()
        return await deliver(records)

    shell = await started(context, tmp_path)
    monkeypatch.setattr(producer, "deliver", slow_deliver)
    rounds = [asyncio.create_task(shell.apply([batch([event(n)], start=n)])) for n in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert (clicks(context), untold(context), producer.records) == (3, 3, [])
    go.set()
    await asyncio.gather(*rounds)
    values = producer.values("freshet.item-deltas")
    assert [decode_deltas(raw or b"").activity_rows()["offset"][0] for raw in values] == [0, 1, 2]


async def test_what_was_told_is_taken_out_by_the_next_batch_or_by_clearing(
    context: FoldContext, tmp_path: Path
) -> None:
    """And by nobody who has lost the partition."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(0)])])
    await shell.apply([batch([event(1)], start=1)])
    assert (untold(context), shell.told(PARTITION)) == (1, ("2",))
    looks = [[PARTITION], [PARTITION]]
    with pytest.raises(IndexError):
        await keep_clear(shell, looks.pop, every_s=0)
    assert (untold(context), shell.told(PARTITION)) == (0, ())
    await shell.apply([batch([event(2)], start=2)])
    other = await started(context, tmp_path)
    await other.apply([batch([event(3)], start=3)])
    with pytest.raises(PositionError):
        await shell.clear_outbox(PARTITION)
    assert untold(context) == 1
