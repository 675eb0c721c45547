"""Rounds keep the order within a partition and lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from streams.record_batch import RecordBatch
from streams.rounds import WAITING, Rounds


def batch(partition: int, first: int, count: int) -> RecordBatch:
    offsets = list(range(first, first + count))
    nothing: list[bytes | None] = [None] * count
    return RecordBatch("t", partition, first, offsets, nothing, nothing, [0] * count)


class Applied:
    """Keeps the rounds; each waits until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.rounds: list[list[tuple[int, list[int]]]] = []
        self.released = asyncio.Event()
        if not held:
            self.released.set()

    async def __call__(self, batches: Sequence[RecordBatch]) -> None:
        self.rounds.append([(each.partition, list(each.offsets)) for each in batches])
        await self.released.wait()

    def offsets(self, partition: int) -> list[int]:
        return [
            at
            for round_ in self.rounds
            for p, offsets in round_
            if p == partition
            for at in offsets
        ]


async def settle() -> None:
    """Let every task run as far as it can without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_waits_is_taken_together() -> None:
    """One batch of each partition, cut to the most events of a script."""
    applied = Applied()
    rounds = Rounds(applied, most_records=3, most_bytes=None)
    await rounds.put([batch(0, 0, 5), batch(1, 0, 2)])
    running = asyncio.create_task(rounds.run())
    await settle()
    assert applied.rounds == [[(0, [0, 1, 2]), (1, [0, 1])], [(0, [3, 4])]]
    running.cancel()


async def test_the_order_of_a_partition_is_kept_and_a_full_one_says_so() -> None:
    """A reader should leave it alone until it has room; the others go on."""
    applied = Applied(held=True)
    rounds = Rounds(applied, most_records=10, most_bytes=None)
    running = asyncio.create_task(rounds.run())
    for first in range(0, 2 * (WAITING + 3), 2):
        await rounds.put([batch(0, first, 2)])
        await settle()
    await rounds.put([batch(1, 0, 2)])
    assert rounds.full == [0]
    applied.released.set()
    await settle()
    assert rounds.full == []
    assert applied.offsets(0) == list(range(2 * (WAITING + 3)))
    assert applied.offsets(1) == [0, 1]
    running.cancel()


async def test_drain_drops_what_waits_and_waits_for_what_is_under_way() -> None:
    """Afterwards nothing of this worker can be written any more."""
    applied = Applied(held=True)
    rounds = Rounds(applied, most_records=1, most_bytes=None)
    running = asyncio.create_task(rounds.run())
    await rounds.put([batch(0, 0, 4)])
    await settle()
    draining = asyncio.create_task(rounds.drain())
    await settle()
    assert not draining.done()
    applied.released.set()
    await draining
    started = len(applied.rounds)
    await settle()
    assert len(applied.rounds) == started < 4
    running.cancel()


@pytest.mark.parametrize("partitions", [0, 3])
async def test_draining_an_idle_one_ends_at_once(partitions: int) -> None:
    """Nothing waits, nothing is under way."""
    rounds = Rounds(Applied(), most_records=1, most_bytes=None)
    for partition in range(partitions):
        await rounds.put([batch(partition, 0, 1)])
    await rounds.drain()
