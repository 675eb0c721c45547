"""Times as logs write them: milliseconds are taken, other units are recognised and refused.

The units cannot be confused: from 1990 to 2100, seconds, milliseconds, microseconds and nanoseconds
lie in ranges that are apart. A time in another unit is refused all the same, because the same row
is refused on Kafka and over HTTP.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from freshet.core.events.schema import EARLIEST_TS_MS, LATEST_TS_MS

UNITS: Final = {
    "seconds": 1_000.0,
    "milliseconds": 1.0,
    "microseconds": 1e-3,
    "nanoseconds": 1e-6,
}
"""Milliseconds in one of each."""

ISO: Final = "ISO 8601"


def as_ts_ms(value: Any) -> Any:
    """Return a time in whole milliseconds; what is none at all is returned as it is.

    Numbers in texts and numbers with a fraction are taken when they are milliseconds.

    Raises:
        ValidationError: it is a time in another unit; says which.

    >>> as_ts_ms(1_764_000_000_000), as_ts_ms("1764000000000"), as_ts_ms(1.764e12)
    (1764000000000, 1764000000000, 1764000000000)
    """
    if type(value) is int and EARLIEST_TS_MS <= value <= LATEST_TS_MS:
        return value
    unit = unit_of(value)
    if unit == "milliseconds":
        return int(float(value))
    if unit is not None:
        raise msgspec.ValidationError(
            f"ts_ms is {value!r}, which looks like {unit} ({_readable(value, unit)}); expected "
            "milliseconds since the epoch, UTC"
        )
    if _number(value) is None:
        raise msgspec.ValidationError(
            f"ts_ms is {value!r}, expected milliseconds since the epoch, UTC"
        )
    raise msgspec.ValidationError(
        f"ts_ms is {value!r}, expected milliseconds since the epoch, UTC, from {EARLIEST_TS_MS} "
        f"(1990) to {LATEST_TS_MS} (2100)"
    )


def unit_of(value: Any) -> str | None:
    """Return the unit in which a value is a time from 1990 to 2100, None when it is none.

    >>> unit_of(874_724_710), unit_of("2025-11-24T16:00:00Z"), unit_of("x"), unit_of(7)
    ('seconds', 'ISO 8601', None, None)
    """
    number = _number(value)
    if number is not None:
        ranges = ((unit, number * factor) for unit, factor in UNITS.items())
        return next(
            (unit for unit, ts_ms in ranges if EARLIEST_TS_MS <= ts_ms <= LATEST_TS_MS), None
        )
    return ISO if isinstance(value, str) and iso_ts_ms(value) is not None else None


def iso_ts_ms(text: str) -> int | None:
    """Return an ISO 8601 time in ms since the epoch, UTC where it names no zone; None for no time.

    >>> iso_ts_ms("2025-11-24"), iso_ts_ms("2025-11-24 17:00:00+01:00"), iso_ts_ms("soon")
    (1763942400000, 1764000000000, None)
    """
    if len(text) < len("2025-11-24"):
        return None
    try:
        found = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    except ValueError:
        return None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def readable(ts_ms: int) -> str:
    """Return a time as people write it.

    >>> readable(1_764_000_000_000)
    '2025-11-24 16:00:00'
    """
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _readable(value: Any, unit: str) -> str:
    ts_ms = iso_ts_ms(value) if unit == ISO else int(float(value) * UNITS[unit])
    return "" if ts_ms is None else f"{readable(ts_ms)} UTC"
