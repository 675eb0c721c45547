"""Durations as people write and read them: `90s`, `15m`, `1h`, `7d`."""

from __future__ import annotations

import re
from typing import Any

import click

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType):
    """An option that takes a duration and gives its seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds of a duration.

        >>> Duration().convert("1.5h", None, None)
        5400.0
        """
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 15m, 1h or 7d", param, ctx)
        return float(found[1]) * SECONDS[found[2]]


def duration_text(seconds: float) -> str:
    """Return a duration in its largest unit of which there are two or more.

    >>> duration_text(0.25), duration_text(119), duration_text(7_100), duration_text(-3)
    ('0 s', '119 s', '118 m', '0 s')
    """
    whole = max(int(seconds), 0)
    for unit, size in reversed(SECONDS.items()):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
