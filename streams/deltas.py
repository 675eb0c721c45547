"""What the user fold tells the item fold: columns, not rows, one message per item partition.

Law: a row is named by the partition and offset of the event that it comes from. Emitting a row
again changes nothing, whatever the boundaries of the messages are, because the item fold drops
rows of offsets that it has passed for that source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.partition import partition_of_hash

ACTIVITY_DTYPE = np.dtype(
    [
        ("source", "<u2"),  # partition of the event
        ("offset", "<i8"),  # of the event in its partition
        ("ts_ms", "<i8"),
        ("type", "u1"),
        ("segment", "u1"),  # of the user, before the event
    ]
)
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
    """

    item_ids: list[str]
    items: bytes
    activity: bytes
    covisits: bytes

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
    names: Sequence[str],
    items: NDArray[np.int64],
    hashes: NDArray[np.uint32],
    activity: NDArray[Any],
    covisits: NDArray[Any],
    partitions: int,
    most_bytes: int = MOST_MESSAGE_BYTES,
) -> list[tuple[int, bytes]]:
    """Return the messages of one round: (item partition, packed deltas), to be sent in order.

    Args:
        names: of items.
        items: (n,) index in `names` of each activity row's item.
        hashes: (n,) hashes of those items.
        activity: (n,) of `ACTIVITY_DTYPE`.
        covisits: (m,) of `COVISIT_ROW_DTYPE`.
        partitions: number of item partitions.
        most_bytes: a larger message is cut between two events.
    """
    by_item = partition_of_hash(hashes, partitions)
    by_previous = partition_of_hash(covisits["previous"], partitions)
    messages = []
    for partition in range(partitions):
        rows = np.flatnonzero(by_item == partition)
        transitions = covisits[by_previous == partition]
        if len(rows) or len(transitions):
            pieces = _pieces(names, items[rows], activity[rows], transitions, most_bytes)
            messages += [(partition, raw) for raw in pieces]
    return messages


def _pieces(
    names: Sequence[str],
    items: NDArray[np.int64],
    activity: NDArray[Any],
    covisits: NDArray[Any],
    most_bytes: int,
) -> list[bytes]:
    """Return one message, or several when it is too large: a hot item may draw a whole round.

    The cut goes through the events, not through the rows: all rows of an event stay together,
    because the item fold drops what comes after a source's newest offset has passed it.
    """
    distinct, rows = np.unique(items, return_inverse=True)
    item_ids = [names[number] for number in distinct.tolist()]
    raw = _ENCODER.encode(
        ItemDeltas(
            item_ids, rows.astype(np.uint32).tobytes(), activity.tobytes(), covisits.tobytes()
        )
    )
    if len(raw) <= most_bytes:
        return [raw]
    events = np.unique(np.r_[_event_keys(activity), _event_keys(covisits)])
    if len(events) == 1:
        return [raw]
    middle = events[len(events) // 2]
    early, early_covisits = _event_keys(activity) < middle, _event_keys(covisits) < middle
    return [
        piece
        for some, moves in ((early, early_covisits), (~early, ~early_covisits))
        for piece in _pieces(names, items[some], activity[some], covisits[moves], most_bytes)
    ]


def _event_keys(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a number that names each row's event and orders those of a source, (n,)."""
    return np.asarray(
        rows["source"].astype(np.uint64) << np.uint64(48) | rows["offset"].astype(np.uint64)
    )


def decode_deltas(raw: bytes) -> ItemDeltas:
    """Return the deltas in a message.

    Raises:
        msgspec.DecodeError: the message was not written by a user fold.
    """
    return _DECODER.decode(raw)
