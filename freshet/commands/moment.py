"""Moments as people write them: ISO 8601 in UTC, milliseconds since the epoch, or `now`."""

from __future__ import annotations

from typing import Any

import click

from freshet.core.clock import Clock, system_clock
from freshet.core.events.recorded.times import iso_ts_ms
from freshet.core.events.schema import EARLIEST_TS_MS, LATEST_TS_MS


class Moment(click.ParamType):
    """An option that takes a moment and gives its milliseconds since the epoch.

    Args:
        clock: what `now` is.
    """

    name = "moment"

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the milliseconds of a moment.

        >>> Moment(lambda: 7).convert("now", None, None), Moment().convert("2026-01-01", None, None)
        (7, 1767225600000)
        """
        if value == "now":
            return self._clock()
        text = str(value)
        found = int(text) if text.isdigit() else iso_ts_ms(text)
        if found is None or not EARLIEST_TS_MS <= found <= LATEST_TS_MS:
            self.fail(
                f"{value!r} is no moment from 1990 to 2100; write 2025-11-24, 2025-11-24T16:00:00Z "
                "or milliseconds since the epoch",
                param,
                ctx,
            )
        return found
