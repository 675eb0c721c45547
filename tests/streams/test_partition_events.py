"""The events in a batch: each under its own offset and time, whatever stands between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from freshet.core.events.codec import EMPTY, UNDECODABLE, encode, event_hash
from freshet.core.events.control import Erasure, Heartbeat, encode_control
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import TYPE_CODES, Event, EventType
from streams.item_names import ItemNames
from streams.partition_events import (
    WRONG_PARTITION,
    PartitionEvents,
    event_rows,
    read_events,
)
from streams.record_batch import RecordBatch

from .conftest import NOW_MS


def event(number: int, kind: EventType = "click", ts_ms: int | None = None) -> bytes:
    """An event of a user, an item and a time of its own."""
    return encode(
        Event(
            event_id=f"e{number}",
            type=kind,
            user_id=f"u{number}",
            item_id=f"i{number}",
            ts_ms=NOW_MS + number if ts_ms is None else ts_ms,
        )
    )


def read(values: Sequence[bytes | None], start: int = 100, partition: int = 1) -> PartitionEvents:
    """Read a batch whose records the log took a second apart, with holes between the offsets."""
    at = range(len(values))
    return read_events(
        RecordBatch(
            "events", partition, start, [start + 2 * n for n in at], [None] * len(values), values,
            [NOW_MS + 1000 * n for n in at],
        )
    )  # fmt: skip


HEARTBEAT = encode_control(Heartbeat(NOW_MS))


def test_a_batch_without_events_is_empty() -> None:
    """Nothing but a heartbeat, or nothing but rubbish."""
    beat, bad = read([HEARTBEAT]), read([b"{"])
    assert (len(beat), beat.beats, beat.rejects) == (0, [NOW_MS], [])
    assert (len(bad), bad.beats, [reject.at for reject in bad.rejects]) == (0, [], [0])
    assert list(beat.offsets) == list(beat.log_ts_ms) == beat.user_ids == []


def test_events_keep_the_offsets_and_times_of_their_records() -> None:
    """Also behind records that are none."""
    found = read([event(0), b"rubbish", None, event(3), HEARTBEAT, event(5)])
    assert found.user_ids == ["u0", "u3", "u5"]
    assert found.at == [0, 3, 5]
    assert list(found.offsets) == [100, 106, 110]
    assert list(found.log_ts_ms) == [NOW_MS, NOW_MS + 3000, NOW_MS + 5000]
    assert found.beats == [NOW_MS]
    assert found.partition == 1
    assert [(reject.at, reject.error.reason) for reject in found.rejects] == [
        (1, UNDECODABLE), (2, EMPTY),
    ]  # fmt: skip


def test_a_batch_of_events_alone_has_the_columns_of_its_records() -> None:
    """The common case, in which nothing is copied."""
    found = read([event(n) for n in range(4)])
    assert found.offsets is found.batch.offsets
    assert list(found.offsets) == [100, 102, 104, 106]


def test_users_of_another_partition_are_refused_and_the_rest_stays() -> None:
    """Each under its own index, beside what was rejected before."""
    found = read([event(0), b"rubbish", event(2), event(3)])
    found.refuse(np.array([True, False, True]))
    assert found.user_ids == ["u2"]
    assert list(found.offsets) == [104]
    assert sorted((reject.at, reject.error.reason) for reject in found.rejects) == [
        (0, WRONG_PARTITION), (1, UNDECODABLE), (3, WRONG_PARTITION),
    ]  # fmt: skip


def test_nobody_refused_changes_nothing() -> None:
    """A mask of no one."""
    found = read([event(0), event(1)])
    found.refuse(np.zeros(2, bool))
    assert (found.user_ids, found.rejects) == (["u0", "u1"], [])


def test_an_erasure_among_others_is_a_bug() -> None:
    """It must be a batch by itself, or what is before it would be counted behind it."""
    erasure = encode_control(Erasure(erase="u0", ts_ms=NOW_MS))
    with pytest.raises(ValueError, match="batch by itself"):
        read([event(0), erasure])


def test_rows_are_those_of_the_slow_twin() -> None:
    """Column by column, partition by partition, item by item."""
    reads = [
        read([event(0), b"rubbish", event(2, "view")], partition=1),
        read([HEARTBEAT], partition=2),
        read([event(4, "cart"), event(0, "dwell", NOW_MS + 77)], start=7, partition=3),
    ]
    items = ItemNames()
    rows = event_rows(reads, np.array([5, 3, 9, 5]), items)
    at = 0
    for one in reads:
        for made, offset, log_ts_ms in zip(one.events, one.offsets, one.log_ts_ms, strict=True):
            row = rows[at]
            assert (row["source"], row["offset"], row["log_ts_ms"]) == (
                one.partition, offset, log_ts_ms,
            )  # fmt: skip
            assert (row["ts_ms"], row["type"]) == (made.ts_ms, TYPE_CODES[made.type])
            assert row["event"] == event_hash(made.event_id)
            assert items.names[row["name"]] == made.item_id
            assert row["item"] == item_hashes([made.item_id])[0]
            at += 1
    assert at == len(rows) == 4
    assert rows["user"].tolist() == [5, 3, 9, 5]
