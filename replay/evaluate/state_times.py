"""How new the state is that requests rest on: nothing in it may be newer than the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import history_newest_first
from replay.evaluate.check import Check
from replay.lived import Asked


def times_used(asked: Asked) -> Iterator[tuple[str, int]]:
    """Yield the newest time, in ms, of each thing that a request rests on."""
    moment = asked.moment
    table, record = moment.table, moment.user.record
    history = history_newest_first(record)
    known = moment.profile.rows[moment.profile.rows >= 0]
    samples = [table.sample(row).ts_s for row in known.tolist()]
    offered = table.offered[: table.size]
    yield "the clock of the product", moment.profile.now_ms
    yield "an event of an item", _newest(table.last_ts_ms[: table.size])
    yield "the first event of an item", _newest(table.first_ts_ms[: table.size])
    yield "a trending rate", _newest(table.rates_ts_ms[: table.size])
    yield "the creation of an item", _newest(table.created_ts_ms[: table.size][offered])
    yield "a transition", 1_000 * _newest(np.concatenate([*samples, np.zeros(1, np.uint32)]))
    yield "the newest event of the user", int(record["last_ts_ms"])
    yield "the history of the user", 1_000 * _newest(history["ts_s"])


def _newest(times: NDArray[Any]) -> int:
    return int(times.max(initial=0))


class LateTimes:
    """Notes what is newer than the request that used it."""

    def __init__(self) -> None:
        self._requests = 0
        self._late: dict[str, int] = {}

    def look(self, asked: Asked | None, now_ms: int) -> None:
        """Look at a request that was asked at a time."""
        if asked is None:
            return
        self._requests += 1
        for what, newest_ms in times_used(asked):
            if newest_ms > now_ms:
                self._late[what] = max(self._late.get(what, 0), newest_ms - now_ms)

    def check(self) -> Check:
        """Return whether nothing was newer."""
        late = [f"{what} by up to {ms / 1000:,.3f} s" for what, ms in self._late.items()]
        return Check(
            name="times in the state",
            passed=not late if self._requests else None,
            found=f"The state behind {self._requests:,} requests was looked at: "
            + (f"newer than the request is {', '.join(late)}." if late else "all of it is older."),
            figures={"requests": self._requests, "late": len(late)},
        )
