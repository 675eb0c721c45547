"""Users as they are kept in Redis: the writing half of `freshet/core/state/records.py`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, part, rows_of
from freshet.core.events.schema import INTERACTION
from freshet.core.state.records import LAYOUT_VERSION, USER_DTYPE, WIDE, Records
from streams.packed import Packed

_TAIL_AT = USER_DTYPE.fields["embedding"][1]  # type: ignore[index]
_OLDER_AT = USER_DTYPE.fields["older"][1]  # type: ignore[index]
_MOST_BYTES = USER_DTYPE.itemsize  # a packed record is never larger than one in memory


def pack_users(users: Records, rows: NDArray[np.int64] | None = None) -> Packed:
    """Return the packed records, each as long as its history needs.

    Args:
        users: (n,) of `USER_DTYPE`.
        rows: (u,) of those to pack, in that order; all unless told.
    """
    if rows is None:
        rows = np.arange(len(users))
    out = np.empty(len(rows) * _MOST_BYTES, np.uint8)
    lengths = np.empty(len(rows), np.int64)
    raw = users.view(np.uint8)
    size = _pack(
        users, raw, rows, INTERACTION, LAYOUT_VERSION, WIDE, _TAIL_AT, _OLDER_AT, out, lengths
    )
    return Packed(out[:size].tobytes(), lengths.tolist())


@part
def _put(out: NDArray[np.uint8], at: int, value: Any, size: int) -> int:
    """Write a whole number, its lowest byte first; return where the next one goes."""
    for byte in range(size):
        out[at + byte] = (value >> np.uint64(8 * byte)) & np.uint64(0xFF)
    return at + size


@compiled(
    rows_of(USER_DTYPE), rows_of("u1"), rows_of("i8"), rows_of("?"),
    numba.int64, numba.int64, numba.int64, numba.int64, rows_of("u1"), rows_of("i8"),
)  # fmt: skip
def _pack(
    users: Records,
    raw: NDArray[np.uint8],
    rows: NDArray[np.int64],
    interaction: NDArray[np.bool_],
    layout: int,
    wide: int,
    tail_at: int,
    older_at: int,
    out: NDArray[np.uint8],
    lengths: NDArray[np.int64],
) -> int:
    """Write packed users into `out` and their sizes into `lengths`; return the size of all."""
    record_size = len(raw) // max(len(users), 1)
    at = 0
    for place, row in enumerate(rows):
        user = users[row]
        start = at
        interactions = 0
        counter = 1
        for kind in range(len(interaction)):
            if interaction[kind]:
                interactions += user.type_counts[kind]
            if user.type_counts[kind] > 0xFF:
                counter = 4
        at = _put(out, at, np.uint64(layout if counter == 1 else layout | wide), 1)
        at = _put(out, at, np.uint64(user.model_tag), 3)
        at = _put(out, at, np.uint64(user.last_ts_ms // 1000), 4)
        at = _put(out, at, np.uint64(user.last_ts_ms % 1000), 2)
        at = _put(out, at, np.uint64(user.history_ts_s), 4)
        for kind in range(len(interaction)):
            at = _put(out, at, np.uint64(user.type_counts[kind]), counter)
        for event in user.recent_events:
            at = _put(out, at, event, 4)
        for event in user.recent_events:
            at = _put(out, at, event >> np.uint64(32), 1)
        at = _put(out, at, np.uint64(user.has_unwanted), 1)
        at = _put(out, at, np.uint64(user.window_ts_s), 4)
        at = _put(out, at, np.uint64(user.window_acted), 1)
        at = _put(out, at, np.uint64(user.window_shown), 1)
        for shown in user.recent_shown:
            at = _put(out, at, np.uint64(shown), 2)
        at = _put(out, at, np.uint64(user.n_older), 1)
        unused = max(len(user.history) - interactions, 0)
        slot_size = (older_at - tail_at - len(user.embedding)) // len(user.history)
        tail = older_at - tail_at - unused * slot_size
        source = row * record_size + tail_at
        out[at : at + tail] = raw[source : source + tail]
        at += tail
        for place_of_older in range(user.n_older):
            at = _put(out, at, np.uint64(user.older[place_of_older]), 2)
        lengths[place] = at - start
    return at
