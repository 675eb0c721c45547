"""Layouts of the packed records in Redis, and the only code that packs and unpacks them.

Law: a record is written by one fold and read by everyone, always through this module. A change of
a layout raises `LAYOUT_VERSION`, and a process refuses state of another version.

The history is a ring: interaction number j (from 0) stands in slot j % HISTORY_LENGTH. A packed
user ends with its last used slot, so that a new user costs a fraction of a full record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import EVENT_TYPES

LAYOUT_VERSION: Final = 1
EMBEDDING_DIM: Final = 64
HISTORY_LENGTH: Final = 50
RECENT_EVENT_IDS: Final = 32
SEEN_GENERATIONS: Final = 2
SEEN_BITS: Final = 512
TREND_HALF_LIVES_S: Final = (300, 3_600, 86_400, 604_800)
TREND_BUCKETS: Final = 16
SEGMENTS: Final = 4
COVISIT_CAPACITY: Final = 256

Records = NDArray[np.void]
"""A structured array of one of the dtypes below."""

HISTORY_DTYPE = np.dtype([("item", "<u4"), ("ts_s", "<u4"), ("type", "u1")])
USER_DTYPE = np.dtype(
    [
        ("layout", "u1"),
        ("model_tag", "<u4"),  # which bundle made the embedding; 0 = none
        ("last_ts_ms", "<i8"),  # newest event time
        ("last_event", "<u8"),  # hash of the event applied last
        ("applied", "<u4"),  # events of all types, each counted once
        ("interactions", "<u4"),  # events that entered the history
        ("type_counts", "<u4", (len(EVENT_TYPES),)),
        ("recent_events", "<u8", (RECENT_EVENT_IDS,)),  # ring of event-id hashes, by `applied`
        ("seen", "u1", (SEEN_GENERATIONS, SEEN_BITS // 8)),
        ("embedding", "<f2", (EMBEDDING_DIM,)),
        ("history", HISTORY_DTYPE, (HISTORY_LENGTH,)),
    ]
)
ITEM_DTYPE = np.dtype(
    [
        ("layout", "u1"),
        ("first_ts_ms", "<i8"),
        ("last_ts_ms", "<i8"),  # newest event time: the head of every trending ring
        ("type_counts", "<u4", (len(EVENT_TYPES),)),
        ("trend", "<u4", (len(TREND_HALF_LIVES_S), TREND_BUCKETS)),
        ("impressions", "<u4", (SEGMENTS,)),
        ("clicks", "<u4", (SEGMENTS,)),
    ]
)
COVISIT_DTYPE = np.dtype(
    [
        ("next", "<u4"),  # hash of the item visited next
        ("ts_s", "<u4"),
        ("draw", "<u4"),  # random bits of the event, from its id
        ("distance", "u1"),  # visits between the two, from 1
    ]
)
_USER_FIXED = USER_DTYPE.itemsize - HISTORY_LENGTH * HISTORY_DTYPE.itemsize
_SEGMENT_EDGES = np.array([1, 5, 20], np.uint32)


def segment_of(interactions: NDArray[Any] | int) -> NDArray[np.uint8]:
    """Return the bandit segment of a user with so many interactions: new, light, known, heavy.

    >>> segment_of(np.array([0, 1, 5, 19, 20])).tolist()
    [0, 1, 2, 2, 3]
    """
    return np.searchsorted(_SEGMENT_EDGES, interactions, side="right").astype(np.uint8)


def pack_users(users: Records) -> list[bytes]:
    """Return the packed records, each as long as its history needs.

    Args:
        users: (n,) of `USER_DTYPE`.
    """
    blob = users.tobytes()
    size = USER_DTYPE.itemsize
    used = np.minimum(users["interactions"], HISTORY_LENGTH).astype(np.int64)
    starts = np.arange(len(users)) * size
    ends = starts + _USER_FIXED + used * HISTORY_DTYPE.itemsize
    return [blob[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def unpack_users(blobs: Sequence[bytes | None]) -> Records:
    """Return (n,) of `USER_DTYPE`, writable; None is a user never seen before."""
    return _unpack(blobs, USER_DTYPE)


def pack_items(items: Records) -> list[bytes]:
    """Return the packed records of (n,) of `ITEM_DTYPE`."""
    blob = items.tobytes()
    size = ITEM_DTYPE.itemsize
    return [blob[start : start + size] for start in range(0, len(blob), size)]


def unpack_items(blobs: Sequence[bytes | None]) -> Records:
    """Return (n,) of `ITEM_DTYPE`, writable; None is an item never acted on."""
    return _unpack(blobs, ITEM_DTYPE)


def unpack_covisits(blob: bytes | None) -> Records:
    """Return (n,) of `COVISIT_DTYPE`, read only: the transitions out of one item."""
    return np.frombuffer(blob or b"", COVISIT_DTYPE)


def history_newest_first(user: np.void) -> Records:
    """Return the history of one user, newest first, (n <= HISTORY_LENGTH,) of `HISTORY_DTYPE`."""
    total = int(user["interactions"])
    used = min(total, HISTORY_LENGTH)
    order = (total - 1 - np.arange(used)) % HISTORY_LENGTH
    rows: Records = user["history"][order]
    return rows


def _unpack(blobs: Sequence[bytes | None], dtype: np.dtype[Any]) -> Records:
    size = dtype.itemsize
    empty = bytes([LAYOUT_VERSION]).ljust(size, b"\0")
    joined = b"".join([empty if blob is None else blob.ljust(size, b"\0") for blob in blobs])
    records = np.frombuffer(bytearray(joined), dtype)
    if np.any(records["layout"] != LAYOUT_VERSION):
        found = sorted(set(records["layout"].tolist()))
        raise ValueError(
            f"records of layout {found}, expected {LAYOUT_VERSION}: the state was written by "
            "another version of Freshet; rebuild it from the log under a new namespace"
        )
    return records
