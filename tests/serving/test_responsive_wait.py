"""Timeouts that count only time in which the loop was responsive."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from serving import responsive_wait
from serving.responsive_wait import SLICES, OwnLagError, within

TIMEOUT_S = 0.006


def clock_of(*advances_s: float) -> tuple[Callable[[], float], list[float]]:
    """Return a clock that goes on by these steps, each time it is read; and what it has shown."""
    shown = [0.0]
    steps = itertools.cycle(advances_s)

    def now() -> float:
        shown.append(shown[-1] + next(steps))
        return shown[-1]

    return now, shown


async def test_a_reply_is_returned_and_an_error_raised() -> None:
    """As they come."""

    async def reply(error: Exception | None) -> str:
        if error:
            raise error
        return "here"

    assert await within(reply(None), TIMEOUT_S) == "here"
    with pytest.raises(ConnectionError):
        await within(reply(ConnectionError()), TIMEOUT_S)


async def test_no_reply_in_responsive_time_is_a_timeout() -> None:
    """After as many slices as there are; and nobody waits for the reply any more."""
    cancelled = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    now, shown = clock_of(0.0, TIMEOUT_S / SLICES)
    with pytest.raises(TimeoutError, match="6 ms"):
        await within(never(), TIMEOUT_S, clock=now)
    assert shown[-1] < 2 * TIMEOUT_S
    await asyncio.wait_for(cancelled.wait(), 20)


async def test_the_lag_of_the_own_loop_is_no_timeout() -> None:
    """The reply comes after many slices, each of which ended late."""
    now, shown = clock_of(0.0, 0.1)

    async def reply() -> str:
        while shown[-1] < 1.0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return "late, by our own fault"

    assert await within(reply(), TIMEOUT_S, clock=now) == "late, by our own fault"


async def test_slices_on_time_between_late_ones_count() -> None:
    """A dead neighbour is found by a busy process too."""
    now, _ = clock_of(0.0, 0.1, 0.0, TIMEOUT_S / SLICES)
    with pytest.raises(TimeoutError):
        await within(asyncio.Event().wait(), TIMEOUT_S, clock=now)


async def test_a_loop_that_never_looks_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that says whose fault it is, and is no timeout."""
    monkeypatch.setattr(responsive_wait, "MAX_LAG_S", 0.5)
    now, _ = clock_of(0.0, 0.1)
    with pytest.raises(OwnLagError) as caught:
        await within(asyncio.Event().wait(), TIMEOUT_S, clock=now)
    assert not isinstance(caught.value, OSError)
