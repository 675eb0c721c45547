"""What a user does not want to be offered: items that they disliked, hid or reported.

Law: one row per item, the newest rejection of it, written by the user fold.
A row ends when the user takes it back (`TAKES_BACK`) or after the setting
`unwanted_ttl_s`, in event time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from freshet.core.state.records import Records

UNWANTED_CAPACITY: Final = 500
"""Items of a user; of more, the oldest are dropped first."""

UNWANTED_DTYPE: Final[np.dtype[Any]] = np.dtype([("item", "<u4"), ("ts_s", "<u4"), ("type", "u1")])
"""A rejected item: its hash, when it was rejected, and by an event of which type."""


def unpack_unwanted(blob: bytes | None) -> Records:
    """Return the rows of a user, (n <= UNWANTED_CAPACITY,) of `UNWANTED_DTYPE`, newest first.

    >>> len(unpack_unwanted(None))
    0
    """
    return np.frombuffer(blob or b"", UNWANTED_DTYPE)


def unexpired(rows: Records, now_s: float, ttl_s: int) -> Records:
    """Return the rows that have not expired.

    Args:
        rows: (n,) of `UNWANTED_DTYPE`.
        now_s: event time, s.
        ttl_s: the setting `unwanted_ttl_s`, 0 for no end.
    """
    return rows[rows["ts_s"] + np.int64(ttl_s) > now_s] if ttl_s else rows
