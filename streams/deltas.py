"""What the user fold tells the item fold: columns, not rows, one message per item partition.

Law: a row is named by the partition and offset of the event that it comes from. Emitting a row
again changes nothing, whatever the boundaries of the messages are, because the item fold drops
rows of offsets that it has passed for that source.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, rows_of
from freshet.core.events.partition import partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.state.records import LAYOUT_VERSION
from streams.item_names import ItemNames

ACTIVITY_DTYPE = np.dtype(
    [
        ("source", "<u2"),  # partition of the event
        ("offset", "<i8"),  # of the event in its partition
        ("ts_ms", "<i8"),
        ("type", "u1"),
        ("segment", "u1"),  # of the user, before the event
        ("weight", "u1"),  # what the event adds to the trend
        ("adds", "u1"),  # what else it adds to, `ADDS_PERSON` and `ADDS_RATE`
    ]
)
ADDS_PERSON, ADDS_RATE = 1, 2
"""Bits: to the people who acted on the item; to its impressions or clicks."""

COVISIT_ROW_DTYPE = np.dtype(
    [
        ("source", "<u2"),
        ("offset", "<i8"),
        ("previous", "<u4"),  # hash of the item visited before: the row belongs to it
        ("next", "<u4"),
        ("ts_s", "<u4"),
        ("draw", "<u4"),
        ("distance", "u1"),
    ]
)


MOST_MESSAGE_BYTES = 500_000  # half of what Kafka takes by default


class ItemDeltas(msgspec.Struct, array_like=True, frozen=True):
    """Rows of one round of the user fold for one item partition.

    Rows of the same source are complete and in the order of their offsets, within a message and
    from message to message.

    Attributes:
        layout: of the state that the rows were made for. The first messages did not say.
    """

    item_ids: list[str]
    items: bytes
    activity: bytes
    covisits: bytes
    layout: int = 2

    def item_rows(self) -> NDArray[np.uint32]:
        """Return (n,): activity row j is about `item_ids[item_rows()[j]]`."""
        return np.frombuffer(self.items, np.uint32)

    def activity_rows(self) -> NDArray[Any]:
        """Return (n,) of `ACTIVITY_DTYPE`."""
        return np.frombuffer(self.activity, ACTIVITY_DTYPE)

    def covisit_rows(self) -> NDArray[Any]:
        """Return (m,) of `COVISIT_ROW_DTYPE`."""
        return np.frombuffer(self.covisits, COVISIT_ROW_DTYPE)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ItemDeltas)


def encode_deltas(
    names: ItemNames,
    items: NDArray[np.int64],
    activity: NDArray[Any],
    covisits: NDArray[Any],
    partitions: int,
    most_bytes: int = MOST_MESSAGE_BYTES,
) -> list[tuple[int, bytes]]:
    """Return the messages of one round: (item partition, packed deltas), to be sent in order.

    Args:
        names: of items.
        items: (n,) number of each activity row's item.
        activity: (n,) of `ACTIVITY_DTYPE`.
        covisits: (m,) of `COVISIT_ROW_DTYPE`.
        partitions: number of item partitions.
        most_bytes: a larger message is cut between two events.
    """
    by_item = partition_of_hash(names.hashes(items), partitions)
    by_previous = partition_of_hash(covisits["previous"], partitions)
    rows = np.empty(len(items), np.uint32)
    distinct = np.empty(len(items), np.int64)
    activity_there, covisits_there = np.empty_like(activity), np.empty_like(covisits)
    ends = np.zeros((partitions + 1, len(_ENDS)), np.int64)
    _sort(
        by_item, items, activity, by_previous, covisits, names.places,
        activity_there, rows, distinct, covisits_there, ends,
    )  # fmt: skip
    messages = []
    for partition, (start, end) in enumerate(pairwise(ends.tolist())):
        if start == end:
            continue
        of_items, of_activity, of_covisits = map(slice, start, end)
        deltas = ItemDeltas(
            [names.names[number] for number in distinct[of_items].tolist()],
            rows[of_activity].tobytes(),
            activity_there[of_activity].tobytes(),
            covisits_there[of_covisits].tobytes(),
            LAYOUT_VERSION,
        )
        messages += [(partition, raw) for raw in _encoded(deltas, most_bytes)]
    return messages


def delta_records(
    topic: str,
    names: ItemNames,
    items: NDArray[np.int64],
    activity: NDArray[Any],
    covisits: NDArray[Any],
    partitions: int,
) -> list[Record]:
    """Return the records of one round, to be produced in order; see `encode_deltas`."""
    messages = encode_deltas(names, items, activity, covisits, partitions)
    return [Record(topic, partition, None, value) for partition, value in messages]


_ENDS = ("items", "activity", "covisits")


@compiled(
    rows_of("i8"), rows_of("i8"), rows_of(ACTIVITY_DTYPE), rows_of("i8"),
    rows_of(COVISIT_ROW_DTYPE), rows_of("i8"), rows_of(ACTIVITY_DTYPE), rows_of("u4"),
    rows_of("i8"), rows_of(COVISIT_ROW_DTYPE), rows_of("i8", dimensions=2),
)  # fmt: skip
def _sort(
    by_item: NDArray[np.int64],
    items: NDArray[np.int64],
    activity: Any,
    by_previous: NDArray[np.int64],
    covisits: Any,
    places: NDArray[np.int64],
    activity_there: Any,
    rows: NDArray[np.uint32],
    distinct: NDArray[np.int64],
    covisits_there: Any,
    ends: NDArray[np.int64],
) -> None:
    """Sort rows by partition, in their order, and number the distinct items of each.

    Args:
        by_item: (n,) partition of each activity row.
        items: (n,) number of its item.
        activity: (n,).
        by_previous: (m,) partition of each covisit row.
        covisits: (m,).
        places: see `ItemNames`.
        activity_there: (n,), becomes `activity` sorted.
        rows: (n,), becomes the place of each sorted row's item among those of its partition.
        distinct: (n,), becomes the items, partition by partition.
        covisits_there: (m,), becomes `covisits` sorted.
        ends: (partitions + 1, 3) zeros, becomes where each partition ends, see `_ENDS`; the
            first row stays 0.
    """
    partitions = len(ends) - 1
    for partition in by_item:
        ends[partition + 1, 1] += 1
    for partition in by_previous:
        ends[partition + 1, 2] += 1
    for partition in range(partitions):
        ends[partition + 1, 1] += ends[partition, 1]
        ends[partition + 1, 2] += ends[partition, 2]
    free = ends[:-1].copy()
    order = np.empty(len(items), np.int64)
    for at in range(len(items)):
        there = free[by_item[at], 1]
        free[by_item[at], 1] += 1
        activity_there[there] = activity[at]
        order[there] = items[at]
    for at in range(len(covisits)):
        there = free[by_previous[at], 2]
        free[by_previous[at], 2] += 1
        covisits_there[there] = covisits[at]
    n_items = 0
    for partition in range(partitions):
        first = n_items
        for there in range(ends[partition, 1], ends[partition + 1, 1]):
            item = order[there]
            if places[item] < 0:
                places[item] = n_items - first
                distinct[n_items] = item
                n_items += 1
            rows[there] = places[item]
        for item in distinct[first:n_items]:
            places[item] = -1
        ends[partition + 1, 0] = n_items


def _encoded(deltas: ItemDeltas, most_bytes: int) -> list[bytes]:
    """Return one message, or several when it is too large: a hot item may draw a whole round.

    The cut goes through the events, not through the rows: all rows of an event stay together,
    because the item fold drops what comes after a source's newest offset has passed it.
    """
    raw = _ENCODER.encode(deltas)
    if len(raw) <= most_bytes:
        return [raw]
    activity, covisits = deltas.activity_rows(), deltas.covisit_rows()
    events = np.unique(np.r_[_event_keys(activity), _event_keys(covisits)])
    if len(events) == 1:
        return [raw]
    middle = events[len(events) // 2]
    early, early_covisits = _event_keys(activity) < middle, _event_keys(covisits) < middle
    halves = ((early, early_covisits), (~early, ~early_covisits))
    return [raw for half in halves for raw in _encoded(_some(deltas, *half), most_bytes)]


def _some(
    deltas: ItemDeltas, activity: NDArray[np.bool_], covisits: NDArray[np.bool_]
) -> ItemDeltas:
    """Return some rows of the deltas, and the items of these alone."""
    items, rows = np.unique(deltas.item_rows()[activity], return_inverse=True)
    return ItemDeltas(
        [deltas.item_ids[item] for item in items.tolist()],
        rows.astype(np.uint32).tobytes(),
        deltas.activity_rows()[activity].tobytes(),
        deltas.covisit_rows()[covisits].tobytes(),
        deltas.layout,
    )


def _event_keys(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a number that names each row's event and orders those of a source, (n,)."""
    return np.asarray(
        rows["source"].astype(np.uint64) << np.uint64(48) | rows["offset"].astype(np.uint64)
    )


def decode_deltas(raw: bytes) -> ItemDeltas:
    """Return the deltas in a message.

    Raises:
        msgspec.DecodeError: the message was not written by a user fold.
        ValueError: it was written for a state of another layout. A part of it would move its
            sources past rows that the user fold emits again, when a state is rebuilt.
    """
    deltas = _DECODER.decode(raw)
    if deltas.layout != LAYOUT_VERSION:
        raise ValueError(
            f"deltas of layout {deltas.layout}, expected {LAYOUT_VERSION}: left by another version "
            "of Freshet; the user fold emits them again when the state is rebuilt"
        )
    return deltas
