"""Event time: clocks that run ahead, events that are late or out of order. Pure.

Law: what is early or late is told by the log alone: by each record's own log time, and by the
events before it in its partition. So live and replay agree, whatever the batches were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import MAX_FUTURE_MS

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]

_GROUP_BITS = 43  # a time in ms until the year 2100 has 42


def clamped(ts_ms: Times, log_ts_ms: Times) -> tuple[Times, Flags]:
    """Return event times without those that no sound clock can have told, and which they were.

    Args:
        ts_ms: (n,) event times.
        log_ts_ms: (n,) when the log took each event.

    Returns:
        (n,) times; one more than `MAX_FUTURE_MS` ahead of its log became the log's. And (n,) bool.

    >>> clamped(np.array([7, 400_000, 900_000]), np.array([5, 500_000, 5]))[0].tolist()
    [7, 400000, 5]
    """
    ahead = ts_ms > log_ts_ms + MAX_FUTURE_MS
    return np.where(ahead, log_ts_ms, ts_ms), ahead


def newest_before(group: NDArray[np.int64], time: Times, start: Times) -> Times:
    """Return the newest time before each row within its group, (n,).

    Args:
        group: (n,) number of each row's group, ascending.
        time: (n,) time of each row, ms or any coarser unit.
        start: (groups,) newest time of each group before its first row, in the same unit.

    >>> newest_before(np.array([0, 0, 0, 1]), np.array([5, 9, 7, 1]), np.array([6, 2])).tolist()
    [6, 6, 9, 2]
    """
    if not len(group):
        return time
    before = start[group]
    lift = group << _GROUP_BITS  # later groups above earlier ones: one running maximum for all
    newest = np.maximum.accumulate(np.maximum(time, before) + lift) - lift
    first = np.r_[True, group[1:] != group[:-1]]
    return np.where(first, before, np.r_[0, newest[:-1]])
