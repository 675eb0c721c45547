"""Layouts of the records, in memory and packed in Redis, and what reads them.

Law: a record is written by one fold and read by everyone through this module. Items are packed as
they are in memory, users by `streams/user_packing.py`. A change of a layout raises
`LAYOUT_VERSION`, and a process refuses state of another version.

There are a million users for a thousand items, so their record is made small:

- The history is a ring of `HISTORY_LENGTH` rows: interaction number j (from 0) stands in slot
  j % HISTORY_LENGTH. A packed user ends with its last used slot. A row holds no time of its own
  but the gap to the interaction before, in 12 bits: exact up to 255 s, within 0.4 % above.
- Event ids are remembered by 40 bits. That an id is taken for one of the last
  `RECENT_EVENT_IDS` by chance happens once in 7e10 events.
- Counters take a byte each until one of them needs more (`WIDE`).
- What a user contributed to in the current window is looked up in the history. A packed user ends
  with 2 bytes for each item that the history no longer shows (`OLDER_KEPT`); few have any.
- How many events and interactions there were follows from the counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import EVENT_TYPES, INTERACTION

LAYOUT_VERSION: Final = 3
REBUILD: Final = (
    "end workers and servers, empty that Redis (`redis-cli FLUSHDB`) and start `freshet worker`, "
    "which folds again what Kafka keeps; or use another FRESHET_NAMESPACE"
)
"""What to do about state that cannot be used."""
EMBEDDING_DIM: Final = 64
HISTORY_LENGTH: Final = 50
RECENT_EVENT_IDS: Final = 16
TREND_HALF_LIVES_S: Final = (300, 3_600, 86_400, 604_800)
TREND_BUCKETS: Final = 16
SEGMENTS: Final = 4
COVISIT_CAPACITY: Final = 256
RECENT_SHOWN: Final = 4
OLDER_KEPT: Final = 255

Records = NDArray[np.void]
"""A structured array of one of the dtypes below."""

_SLOT_DTYPE = np.dtype(
    [
        ("item", "<u4"),  # hash of the item
        ("code", "<u2"),  # event type in the upper 4 bits, gap code in the lower 12
    ]
)
_HEAD = [
    ("model_tag", "<u4"),  # which bundle made the embedding, 24 bits; 0 = none
    ("last_ts_ms", "<i8"),  # newest event time
    ("history_ts_s", "<u4"),  # newest event time of an interaction
    ("type_counts", "<u4", (len(EVENT_TYPES),)),
    ("recent_events", "<u8", (RECENT_EVENT_IDS,)),  # ring of event-id hashes, by `applied`
    ("has_unwanted", "u1"),  # whether there is a field of `Keys.unwanted`
    # The window in which the user contributes once to each item; see `streams/user_fold_loops.py`.
    ("window_ts_s", "<u4"),  # when it began
    ("window_acted", "u1"),  # interactions in it, as far as the history shows them
    ("window_shown", "u1"),  # impressions that counted in it, up to 255
    ("recent_shown", "<u2", (RECENT_SHOWN,)),  # ring of their items, by `window_shown`
    ("n_older", "u1"),  # of `older`
]
_TAIL = [
    ("embedding", "i1", (EMBEDDING_DIM,)),  # direction of the session
    ("history", _SLOT_DTYPE, (HISTORY_LENGTH,)),
]
_MEMORY_ONLY = [
    ("erased_ts_ms", "<i8"),  # events up to then stay forgotten; see `Keys.erased`
    ("partition", "<u2"),  # of the user
    ("dirty", "u1"),  # what the fold that is under way has done to the user
]
# Items that were contributed to in the window, and that the history no longer shows.
_OLDER = ("older", "<u2", (OLDER_KEPT,))
USER_DTYPE = np.dtype([*_HEAD, *_MEMORY_ONLY, *_TAIL, _OLDER])
"""A user in memory."""

HISTORY_DTYPE = np.dtype([("item", "<u4"), ("ts_s", "<u4"), ("type", "u1")])
"""A row of a history that was read."""

# Numpy copies a structure field by field: the tail travels as one.
_TAIL_BYTES = ("tail", f"V{np.dtype(_TAIL).itemsize}")
_USER_IN_PARTS = np.dtype([*_HEAD, *_MEMORY_ONLY, _TAIL_BYTES, _OLDER])


def _packed_dtype(counter: str) -> np.dtype[Any]:
    return np.dtype(
        [
            ("layout", "u1"),
            ("model_tag_low", "<u2"),
            ("model_tag_high", "u1"),
            ("last_s", "<u4"),  # newest event time: seconds, and milliseconds of the second
            ("last_ms", "<u2"),
            ("history_ts_s", "<u4"),
            ("type_counts", counter, (len(EVENT_TYPES),)),
            ("recent_low", "<u4", (RECENT_EVENT_IDS,)),
            ("recent_high", "u1", (RECENT_EVENT_IDS,)),
            ("has_unwanted", "u1"),
            ("window_ts_s", "<u4"),
            ("window_acted", "u1"),
            ("window_shown", "u1"),
            ("recent_shown", "<u2", (RECENT_SHOWN,)),
            ("n_older", "u1"),
            _TAIL_BYTES,
        ]
    )


WIDE: Final = 0x80
_PACKED = {LAYOUT_VERSION: _packed_dtype("u1"), LAYOUT_VERSION | WIDE: _packed_dtype("<u4")}
"""A user in Redis, by the first byte."""

_N_OLDER_AT = {
    layout: dtype.fields["n_older"][1]  # type: ignore[index]
    for layout, dtype in _PACKED.items()
}


class PackedSizes(NamedTuple):
    """Sizes of a packed user of one layout, bytes.

    Attributes:
        smallest: without history and without items that the history no longer shows.
        n_older_at: where the number of those items stands, at 2 bytes each.
        slot: of an interaction of the history.
    """

    smallest: int
    n_older_at: int
    slot: int


def packed_sizes(layout: int) -> PackedSizes | None:
    """Return the sizes of a packed user by its first byte, None for another layout.

    >>> packed_sizes(LAYOUT_VERSION).slot, packed_sizes(0)
    (6, None)
    """
    if layout not in _PACKED:
        return None
    smallest = _PACKED[layout].itemsize - HISTORY_LENGTH * _SLOT_DTYPE.itemsize
    return PackedSizes(smallest, _N_OLDER_AT[layout], _SLOT_DTYPE.itemsize)


_AS_IS = (
    "history_ts_s", "type_counts", "has_unwanted", "window_ts_s", "window_acted", "window_shown",
    "recent_shown", "n_older", "tail",
)  # fmt: skip

ITEM_DTYPE = np.dtype(
    [
        ("layout", "u1"),
        ("first_ts_ms", "<i8"),
        ("last_ts_ms", "<i8"),  # newest event time: the head of every trending ring
        ("type_counts", "<u4", (len(EVENT_TYPES),)),
        ("trend", "<u4", (len(TREND_HALF_LIVES_S), TREND_BUCKETS)),
        ("impressions", "<u4", (SEGMENTS,)),
        ("clicks", "<u4", (SEGMENTS,)),
        ("people", "<u4"),  # users who acted on it, each once in a window; no rejections
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
SEGMENT_EDGES = np.array([1, 5, 20], np.uint32)


def segment_of(interactions: NDArray[Any] | int) -> NDArray[np.uint8]:
    """Return the bandit segment of a user with so many interactions: new, light, known, heavy.

    >>> segment_of(np.array([0, 1, 5, 19, 20])).tolist()
    [0, 1, 2, 2, 3]
    """
    return np.searchsorted(SEGMENT_EDGES, interactions, side="right").astype(np.uint8)


def applied_events(users: Records | np.void) -> NDArray[np.int64]:
    """Return how many events of each user were applied, (n,); of one user a number."""
    return np.asarray(users["type_counts"].sum(axis=-1, dtype=np.int64))


def interactions(users: Records | np.void) -> NDArray[np.int64]:
    """Return how many events of each user entered the history, (n,); of one user a number."""
    return np.asarray(users["type_counts"][..., INTERACTION].sum(axis=-1, dtype=np.int64))


def unpack_users(blobs: Sequence[bytes | None]) -> Records:
    """Return (n,) of `USER_DTYPE`, writable; None is a user never seen before.

    Raises:
        ValueError: a record is of another layout.
    """
    users = np.zeros(len(blobs), _USER_IN_PARTS)
    layouts = np.frombuffer(b"".join([blob[:1] if blob else b"\0" for blob in blobs]), np.uint8)
    _refuse_others(layouts[layouts != 0], set(_PACKED))
    for layout, dtype in _PACKED.items():
        rows = np.flatnonzero(layouts == layout)
        if not len(rows):
            continue
        size = dtype.itemsize
        chosen = [blobs[row] or b"" for row in rows.tolist()]
        n_older = np.array([blob[_N_OLDER_AT[layout]] for blob in chosen])
        for at in np.flatnonzero(n_older).tolist():
            older = np.frombuffer(chosen[at][-2 * int(n_older[at]) :], "<u2")
            users["older"][rows[at], : len(older)] = older
            chosen[at] = chosen[at][: -2 * len(older)]
        joined = b"".join([blob.ljust(size, b"\0") for blob in chosen])
        packed = np.frombuffer(joined, dtype)
        for name in _AS_IS:
            users[name][rows] = packed[name]
        tag_high = packed["model_tag_high"].astype(np.uint32) << np.uint32(16)
        users["model_tag"][rows] = tag_high | packed["model_tag_low"]
        seconds = packed["last_s"].astype(np.int64)
        users["last_ts_ms"][rows] = 1000 * seconds + packed["last_ms"]
        high = packed["recent_high"].astype(np.uint64) << np.uint64(32)
        users["recent_events"][rows] = high | packed["recent_low"]
    return users.view(USER_DTYPE)


def unpack_items(blobs: Sequence[bytes | None]) -> Records:
    """Return (n,) of `ITEM_DTYPE`, writable; None is an item never acted on.

    Raises:
        ValueError: a record is of another layout.
    """
    empty = bytes([LAYOUT_VERSION]).ljust(ITEM_DTYPE.itemsize, b"\0")
    joined = b"".join([empty if blob is None else blob for blob in blobs])
    items = np.frombuffer(bytearray(joined), ITEM_DTYPE)
    _refuse_others(items["layout"], {LAYOUT_VERSION})
    return items


def unpack_covisits(blob: bytes | None) -> Records:
    """Return (n,) of `COVISIT_DTYPE`, read only: the transitions out of one item."""
    return np.frombuffer(blob or b"", COVISIT_DTYPE)


LATE: Final = (1 << 12) - 1
"""In place of a gap: the interaction is older than the one before it."""


def _gaps_s() -> NDArray[np.int64]:
    """Return the gap in the middle of what each of the 4,096 codes stands for, s."""
    codes = np.arange(1 << 12)
    exponent = np.maximum((codes >> 7) - 1, 0)
    gaps_s = np.asarray(((codes - (exponent << 7)) << exponent) + ((1 << exponent) >> 1))
    gaps_s[LATE] = 0
    return gaps_s


GAPS_S = _gaps_s()
"""(4096,) the gap that each code of a history stands for, s; `streams/user_fold.py` writes them."""


def history_newest_first(user: np.void) -> Records:
    """Return the history of one user, newest first, (n <= HISTORY_LENGTH,) of `HISTORY_DTYPE`.

    Times are the newest one less the gaps: within 0.4 % of each gap, and an interaction that came
    late stands at the time of the one before it.
    """
    length = min(int(interactions(user)), HISTORY_LENGTH)
    return np.asarray(histories_newest_first(np.array([user]), length)[0])


def histories_newest_first(users: Records, length: int) -> Records:
    """Return the histories of users, (n, length) of `HISTORY_DTYPE`; see `history_newest_first`.

    Args:
        users: (n,) of `USER_DTYPE`.
        length: interactions of each, at most `HISTORY_LENGTH`. What is behind the interactions of
            a user, if they have fewer, means nothing.
    """
    back = np.arange(length)
    places = (interactions(users)[:, None] - 1 - back) % HISTORY_LENGTH
    slots = np.take_along_axis(users["history"], places, axis=1)
    ages_s = np.zeros(slots.shape, np.int64)
    np.cumsum(GAPS_S[slots["code"][:, :-1] & 0xFFF], axis=1, out=ages_s[:, 1:])
    rows = np.empty(slots.shape, HISTORY_DTYPE)
    rows["item"], rows["type"] = slots["item"], slots["code"] >> 12
    rows["ts_s"] = np.maximum(users["history_ts_s"][:, None] - ages_s, 0)
    return rows


def last_event(user: np.void) -> int:
    """Return the hash of the event that was applied last, 0 before the first."""
    return int(user["recent_events"][(int(applied_events(user)) - 1) % RECENT_EVENT_IDS])


def _refuse_others(layouts: NDArray[np.uint8], known: set[int]) -> None:
    found = set(np.unique(layouts).tolist()) - known
    if found:
        raise ValueError(
            f"records of layout {sorted(found)}, expected {LAYOUT_VERSION}: the state was written "
            f"by another version of Freshet; {REBUILD}"
        )
