"""Joined reads: few at a time, none from before it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from serving import read_batches
from serving.read_batches import ReadBatches
from tests.serving.conftest import until


class Store:
    """Values that change; each read waits until it is let through."""

    def __init__(self) -> None:
        self.version = 0
        self.reads: list[list[str]] = []
        self.gates: list[asyncio.Event] = []
        self.error: Exception | None = None

    async def read(self, keys: Sequence[str]) -> list[str]:
        """Return the values as they are when the read begins."""
        self.reads.append(list(keys))
        values = [f"{key}{self.version}" for key in keys]
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        if self.error:
            raise self.error
        return values


async def test_what_is_asked_for_at_once_is_one_read() -> None:
    """A key that two ask for is read once."""
    store = Store()
    batches = ReadBatches(store.read)
    asking = [asyncio.create_task(batches.get(key)) for key in "abab"]
    await until(lambda: len(store.gates) == 1)
    store.gates[0].set()
    assert await asyncio.gather(*asking) == ["a0", "b0", "a0", "b0"]
    assert store.reads == [["a", "b"]]


async def test_who_asks_during_a_read_gets_a_newer_one() -> None:
    """The one under way may be older than what made them ask."""
    store = Store()
    batches = ReadBatches(store.read)
    first = asyncio.create_task(batches.get("a"))
    await until(lambda: len(store.gates) == 1)
    store.version = 1
    second = asyncio.create_task(batches.get("a"))
    await until(lambda: len(store.gates) == 2)
    for gate in store.gates:
        gate.set()
    assert [await first, await second] == ["a0", "a1"]


async def test_few_reads_are_under_way_and_the_rest_waits_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the order in which it was asked for."""
    monkeypatch.setattr(read_batches, "MAX_BATCH", 2)
    monkeypatch.setattr(read_batches, "MAX_UNDER_WAY", 2)
    store = Store()
    batches = ReadBatches(store.read)
    asking = [asyncio.create_task(batches.get(key)) for key in "abcdefg"]
    await until(lambda: len(store.gates) == 2)
    assert store.reads == [["a", "b"], ["c", "d"]]
    store.gates[1].set()
    assert await asking[3] == "d0"
    await until(lambda: len(store.gates) == 3)
    store.gates[0].set()
    store.gates[2].set()
    await until(lambda: len(store.gates) == 4)
    store.gates[3].set()
    assert await asyncio.gather(*asking) == [f"{key}0" for key in "abcdefg"]
    assert store.reads[2:] == [["e", "f"], ["g"]]


async def test_an_error_is_raised_to_all_of_its_batch_and_to_no_other() -> None:
    """The next read begins afresh."""
    store = Store()
    batches = ReadBatches(store.read)
    asking = [asyncio.create_task(batches.get(key)) for key in "ab"]
    await until(lambda: len(store.gates) == 1)
    store.error = ConnectionError("away")
    store.gates[0].set()
    for result in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(result, ConnectionError)
    store.error = None
    again = asyncio.create_task(batches.get("a"))
    await until(lambda: len(store.gates) == 2)
    store.gates[1].set()
    assert await again == "a0"


async def test_one_who_leaves_takes_nobody_along() -> None:
    """The other who asked for the same is answered."""
    store = Store()
    batches = ReadBatches(store.read)
    leaving, staying = (asyncio.create_task(batches.get("a")) for _ in range(2))
    await until(lambda: len(store.gates) == 1)
    leaving.cancel()
    store.gates[0].set()
    assert await staying == "a0"
    assert leaving.cancelled()
