"""The deltas in a batch: each row of a source once, and no row that would count into nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from freshet.core.events.codec import EMPTY, UNDECODABLE
from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import EVENT_TYPES
from freshet.core.state.records import LAYOUT_VERSION, SEGMENTS
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, ItemDeltas
from streams.partition_deltas import PartitionDeltas, read_deltas
from streams.record_batch import RecordBatch

PARTITIONS, PARTITION = 4, 2
ITEM = next(f"i{n}" for n in range(99) if partition_of(f"i{n}", PARTITIONS) == PARTITION)
OTHER = next(f"i{n}" for n in range(99) if partition_of(f"i{n}", PARTITIONS) != PARTITION)


def message(
    offsets: Sequence[int],
    source: int = 0,
    *,
    covisits: Sequence[int] = (),
    items: Sequence[int] | None = None,
    kind: int = 1,
    segment: int = 0,
    previous: str = ITEM,
    covisit_source: int | None = None,
) -> bytes:
    """Rows of one source about one item."""
    activity = np.zeros(len(offsets), ACTIVITY_DTYPE)
    activity["source"], activity["offset"] = source, list(offsets)
    activity["type"], activity["segment"] = kind, segment
    pairs = np.zeros(len(covisits), COVISIT_ROW_DTYPE)
    pairs["source"] = source if covisit_source is None else covisit_source
    pairs["offset"], pairs["previous"] = list(covisits), item_hashes([previous])[0]
    rows = np.zeros(len(offsets), np.uint32) if items is None else np.array(items, np.uint32)
    return msgspec.msgpack.encode(
        ItemDeltas([ITEM], rows.tobytes(), activity.tobytes(), pairs.tobytes(), LAYOUT_VERSION)
    )


def read(*values: bytes | None, passed: Sequence[int] = (0, 0, 0, 0)) -> PartitionDeltas:
    """Read a batch."""
    n = len(values)
    batch = RecordBatch("d", PARTITION, 0, range(n), [None] * n, values, [0] * n)
    return read_deltas(batch, np.array(passed, np.int64))


def offsets(found: PartitionDeltas) -> list[list[int]]:
    """Offsets of the activity rows, message by message."""
    return [rows["offset"].tolist() for rows in found.activity]


def test_a_batch_without_rows_is_empty() -> None:
    """An empty message, and none."""
    found = read(message([]))
    assert (found.applied, found.duplicates, found.rejects) == (0, 0, [])
    assert read().applied == 0


def test_new_rows_are_taken_and_the_source_moves_on() -> None:
    """Behind the last of them; other sources stay where they are."""
    found = read(message([5, 6, 9], source=1, covisits=[6, 9]), passed=[7, 5, 0, 0])
    assert offsets(found) == [[5, 6, 9]]
    assert found.covisits[0]["offset"].tolist() == [6, 9]
    assert found.passed.tolist() == [7, 10, 0, 0]
    assert (found.applied, found.duplicates) == (3, 0)


def test_rows_that_were_applied_are_dropped() -> None:
    """Activity and transitions alike, also where a message holds both kinds."""
    found = read(message([3, 4, 5], covisits=[4, 4, 5, 5]), passed=[5, 0, 0, 0])
    assert offsets(found) == [[5]]
    assert found.covisits[0]["offset"].tolist() == [5, 5]
    assert (found.applied, found.duplicates) == (1, 2)


def test_a_message_that_comes_twice_counts_once() -> None:
    """Within a batch too; the position of a source is that of the batch before."""
    before = np.array([0, 0, 0, 0], np.int64)
    found = read(message([1, 2]), message([1, 2]), message([2, 3]))
    assert offsets(found) == [[1, 2], [], [3]]
    assert found.duplicates == 3
    assert before.tolist() == [0, 0, 0, 0]


def test_an_event_may_have_several_rows() -> None:
    """Rows of one offset stand together, and are new together."""
    found = read(message([4, 4, 4], covisits=[4, 4]))
    assert offsets(found) == [[4, 4, 4]]
    assert len(found.covisits[0]) == 2


def test_transitions_alone_move_the_source_too() -> None:
    """The item visited before may lie in another partition than the item visited."""
    found = read(message([], covisits=[8]), message([], covisits=[8, 9]))
    assert [rows["offset"].tolist() for rows in found.covisits] == [[8], [9]]
    assert found.passed[0] == 10


def test_items_are_numbered_over_all_messages() -> None:
    """Each message has names of its own."""
    found = read(message([1]), message([2, 3]))
    assert found.item_ids == [ITEM, ITEM]
    assert [rows.tolist() for rows in found.items] == [[0], [1, 1]]


@pytest.mark.parametrize(
    "bad",
    [
        message([1], items=[1]),
        message([1], items=[0, 0]),
        message([1], source=PARTITIONS),
        message([1], kind=len(EVENT_TYPES)),
        message([1], segment=SEGMENTS),
        message([1], covisits=[1], previous=OTHER),
        message([1], covisits=[1], covisit_source=PARTITIONS),
    ],
    ids=["item", "more rows", "source", "type", "segment", "owner", "source of a transition"],
)
def test_rows_that_count_into_nothing_are_refused(bad: bytes) -> None:
    """Compiled loops do not look: such a row would be written somewhere else in memory."""
    found = read(message([1]), bad, message([2]))
    assert [(reject.at, reject.error.reason) for reject in found.rejects] == [(1, UNDECODABLE)]
    assert offsets(found) == [[1], [2]]
    assert found.passed.tolist() == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, EMPTY), (b"", EMPTY), (b"\xc1", UNDECODABLE), (b"{}", UNDECODABLE)],
)
def test_what_is_no_message_is_a_dead_letter(value: bytes | None, reason: str) -> None:
    """And harms no other."""
    found = read(value, message([1]))
    assert [(reject.at, reject.error.reason) for reject in found.rejects] == [(0, reason)]
    assert found.applied == 1


@pytest.mark.parametrize("n_events", [0, 1, 11])
def test_deltas_of_an_earlier_layout_move_no_source(n_events: int) -> None:
    """When a state is rebuilt, their rows come again: with transitions alone they look alike."""
    rows = np.zeros(n_events, np.uint32).tobytes()
    pairs = np.zeros(1, COVISIT_ROW_DTYPE)
    pairs["offset"], pairs["previous"] = 500, item_hashes([ITEM])[0]
    old = msgspec.msgpack.encode(([ITEM], rows, bytes(20 * n_events), pairs.tobytes()))
    found = read(old, message([1]))
    assert [reject.error.reason for reject in found.rejects] == [UNDECODABLE]
    assert "layout 2, expected 3" in str(found.rejects[0].error)
    assert (found.passed.tolist(), offsets(found)) == ([2, 0, 0, 0], [[1]])
