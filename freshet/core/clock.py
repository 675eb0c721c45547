"""The wall clock as an argument: whoever needs the time is handed a `Clock`."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the wall-clock time in milliseconds since the epoch, UTC."""


def system_clock() -> int:
    """Return the time of this machine, in ms since the epoch."""
    return time.time_ns() // 1_000_000
