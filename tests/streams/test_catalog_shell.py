"""The catalogue keeps the last word of the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.codec import decode_item, encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Item
from freshet.core.metrics import EVENTS_REJECTED
from streams.catalog_shell import CatalogShell
from streams.fold_shell import FoldContext
from streams.record_batch import RecordBatch

from .conftest import NOW_MS, PARTITIONS

IDS = [f"i{n}" for n in range(99) if partition_of(f"i{n}", PARTITIONS) == 1][:3]


async def apply(context: FoldContext, records: list[tuple[bytes | None, bytes | None]]) -> None:
    shell = CatalogShell(context)
    start = max(await shell.start(1, 0), 0)
    n = len(records)
    keys, values = [key for key, _ in records], [value for _, value in records]
    offsets = list(range(start, start + n))
    batch = RecordBatch("freshet.catalog", 1, start, offsets, keys, values, [NOW_MS] * n)
    await shell.apply([batch])


def put(item_id: str, title: str) -> tuple[bytes, bytes]:
    return item_id.encode(), encode(Item(item_id=item_id, title=title))


def titles(context: FoldContext) -> dict[str, str]:
    store: Any = context.store
    entries = store.hashes.get(context.keys.catalog(1), {})
    return {name: decode_item(raw).title for name, raw in entries.items()}


async def test_the_last_value_stays(context: FoldContext) -> None:
    """Put, put again, deleted, and put after being deleted."""
    one, two, three = IDS
    deleted = (two.encode(), None)
    await apply(context, [put(one, "A"), put(two, "B"), put(one, "A2"), deleted, put(three, "C")])
    assert titles(context) == {one: "A2", three: "C"}
    await apply(context, [put(two, "B3"), (three.encode(), None)])
    assert titles(context) == {one: "A2", two: "B3"}


async def test_bad_entries_are_set_aside(context: FoldContext) -> None:
    """No key, another key, no JSON, another partition's item."""
    stranger = next(f"x{n}" for n in range(99) if partition_of(f"x{n}", PARTITIONS) != 1)
    one, two, _ = IDS
    await apply(
        context,
        [
            (None, put(one, "A")[1]),
            (two.encode(), put(one, "A")[1]),
            (one.encode(), b"{bad"),
            put(stranger, "S"),
            (b"\xff", None),
            put(two, "kept"),
        ],
    )
    assert titles(context) == {two: "kept"}
    producer: Any = context.producer
    reasons = [
        dict(record.headers)["freshet.dead-letter.reason"].decode() for record in producer.records
    ]
    assert reasons == ["empty", "invalid", "undecodable", "wrong_partition", "invalid"]


def rejected(reason: str) -> float:
    return float(EVENTS_REJECTED.labels(reason)._value.get())


async def test_a_dead_letter_is_counted_when_it_is_written(context: FoldContext) -> None:
    """Not while Kafka is away; the worker that reads the record again counts it, once."""
    producer: Any = context.producer
    bad: list[tuple[bytes | None, bytes | None]] = [(IDS[0].encode(), b"{bad")] * 2
    before = rejected("undecodable")
    producer.failing = True
    with pytest.raises(ServiceError, match="not delivered"):
        await apply(context, bad)
    assert rejected("undecodable") == before
    producer.failing = False
    await apply(context, bad)
    assert rejected("undecodable") == before + 2


async def test_a_fold_that_is_not_metered_counts_nothing(context: FoldContext) -> None:
    """As an evaluation runs it: the letters are written, and no series moves."""
    before = rejected("undecodable")
    await apply(replace(context, metered=False), [(IDS[0].encode(), b"{bad"), put(IDS[1], "A")])
    assert rejected("undecodable") == before
    assert len(context.producer.records) == 1  # type: ignore[attr-defined]
