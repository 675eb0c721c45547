"""The shell of the item fold: rows count once, whatever the messages' boundaries are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.settings import Settings
from freshet.core.state.records import unpack_covisits, unpack_items
from streams.deltas import ACTIVITY_DTYPE, ADDS_PERSON, ADDS_RATE, COVISIT_ROW_DTYPE, encode_deltas
from streams.fold_shell import FoldContext
from streams.item_names import ItemNames
from streams.item_shell import ItemShell
from streams.memory_store import MemoryStore
from streams.record_batch import RecordBatch

from .conftest import NOW_MS, PARTITIONS, MemoryProducer

ITEMS = [f"item-{n}" for n in range(99) if partition_of(f"item-{n}", PARTITIONS) == 0][:2]


def message(source: int, offsets: range, previous: Sequence[str] = ITEMS) -> bytes:
    """Deltas of clicks at these offsets, each also a transition, all for one partition."""
    n = len(offsets)
    activity = np.zeros(n, ACTIVITY_DTYPE)
    covisits = np.zeros(n, COVISIT_ROW_DTYPE)
    activity["source"] = covisits["source"] = source
    activity["offset"] = covisits["offset"] = offsets
    activity["ts_ms"] = NOW_MS
    activity["type"], activity["weight"], activity["adds"] = 1, 1, ADDS_PERSON | ADDS_RATE
    ids = [ITEMS[offset % 2] for offset in offsets]
    covisits["previous"] = item_hashes([previous[offset % len(previous)] for offset in offsets])
    covisits["next"] = [offset + 1000 * source for offset in offsets]
    covisits["ts_s"] = NOW_MS // 1000
    covisits["distance"] = 1
    names = ItemNames()
    [(_, raw)] = encode_deltas(names, names.numbers(ids), activity, covisits, 1)
    return raw


def batch(values: list[bytes], start: int = 0) -> RecordBatch:
    offsets = list(range(start, start + len(values)))
    n = len(values)
    return RecordBatch("freshet.item-deltas", 0, start, offsets, [None] * n, values, [NOW_MS] * n)


def clicks(context: FoldContext) -> dict[str, int]:
    store: Any = context.store
    blobs = store.hashes.get(context.keys.items(0), {})
    return {name: int(unpack_items([blob])[0]["clicks"].sum()) for name, blob in blobs.items()}


def transitions(context: FoldContext) -> list[int]:
    store: Any = context.store
    blobs = store.hashes.get(context.keys.covisits(0), {}).values()
    return sorted(int(row["next"]) for blob in blobs for row in unpack_covisits(blob))


async def started(context: FoldContext) -> ItemShell:
    shell = ItemShell(context)
    await shell.start(0, 0)
    return shell


async def test_rows_are_counted(context: FoldContext) -> None:
    """Clicks by item, transitions by previous item, and followers are told."""
    shell = await started(context)
    await shell.apply([batch([message(0, range(10)), message(1, range(5))])])
    assert clicks(context) == dict(zip(ITEMS, (8, 7), strict=True))
    assert transitions(context) == sorted([*range(10), *range(1000, 1005)])
    store: Any = context.store
    told = [told for _, told in store.changes]
    assert {item for ids in told for item in ids["items"]} == set(ITEMS)
    assert {item for ids in told for item in ids["covisits"]} == set(item_hashes(ITEMS).tolist())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(1, 4),
)
async def test_emitting_again_with_other_boundaries_counts_once(
    ends: list[int], again: list[int], per_batch: int
) -> None:
    """A worker that crashed sends from an older offset on, in other pieces."""
    store: Any = MemoryStore()
    producer: Any = MemoryProducer()
    context = FoldContext(Settings(batch_events=5), 4, store, producer, lambda: NOW_MS)
    shell = await started(context)
    messages, sent = [], 0
    for end in [*ends, 31]:
        first = min([sent, *again[:1]])  # a restart may go back, never leave a gap
        again = again[1:]
        if end > first:
            messages.append(message(0, range(first, end)))
            sent = max(sent, end)
    for start in range(0, len(messages), per_batch):
        await shell.apply([batch(messages[start : start + per_batch], start)])
    assert sum(clicks(context).values()) == 31
    assert transitions(context) == list(range(31))


async def test_a_message_of_no_fold_is_set_aside(context: FoldContext) -> None:
    """Its neighbours are counted; nor are rows taken that have no place here."""
    shell = await started(context)
    strange = [
        b"\xc1",
        b"",
        message(PARTITIONS, range(2)),
        message(0, range(2), previous=["item-a"]),
    ]
    assert partition_of("item-a", PARTITIONS) != 0
    await shell.apply([batch([message(0, range(2)), *strange, message(0, range(2, 4))])])
    assert sum(clicks(context).values()) == 4
    producer: Any = context.producer
    assert producer.values("freshet.dead-letters") == strange


@pytest.mark.parametrize("restart", [False, True])
async def test_positions_of_the_sources_are_kept(context: FoldContext, restart: bool) -> None:
    """A worker that takes over drops what was applied before it."""
    shell = await started(context)
    await shell.apply([batch([message(3, range(6))])])
    if restart:
        shell = await started(context)
    await shell.apply([batch([message(3, range(4, 9))], start=1)])
    assert sum(clicks(context).values()) == 9
    position = await context.store.position(shell.position_key(0))
    assert (position["source:3"], position["duplicates"], position["applied"]) == (9, 2, 9)


@pytest.mark.parametrize("damage", [b"", b"abc", b"\xff" * 700])
async def test_a_damaged_record_counts_from_the_next_event(
    context: FoldContext, damage: bytes
) -> None:
    """Its transitions too; no worker ends."""
    shell = ItemShell(context)
    await shell.start(0, 0)
    await shell.apply([batch([message(0, range(4))])])
    store: Any = context.store
    items, covisits = (
        store.hashes[key] for key in (context.keys.items(0), context.keys.covisits(0))
    )
    items[ITEMS[0]] = damage
    covisits[str(item_hashes(ITEMS)[0])] = damage
    again = ItemShell(context)
    await again.start(0, 0)
    await again.apply([batch([message(0, range(4, 6))], 1)])
    assert clicks(context) == {ITEMS[0]: 1, ITEMS[1]: 3}
    assert len(unpack_covisits(covisits[str(item_hashes(ITEMS)[0])])) == 1
