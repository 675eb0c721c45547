"""A timeout that tells a slow neighbour from a slow event loop of our own.

A plain timeout on a busy loop fires although the reply is there: it was read too late, or not yet.
Whoever takes that for a failure of the neighbour stops asking it just when there is most to do.

Law: only time in which the loop was responsive counts. A wait is cut into slices, and a slice that
ended late says nothing about the neighbour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

SLICES: Final = 6
MAX_OVERSLEPT_S: Final = 0.005  # a timer this late is normal, however short the slice
MAX_LAG_S: Final = 2.0


class OwnLagError(Exception):
    """Nothing can be said about the neighbour: this process was too busy to look."""


async def within(
    reply: Coroutine[Any, Any, T],
    timeout_s: float,
    *,
    clock: Callable[[], float] | None = None,
) -> T:
    """Return the reply of a neighbour that has so long for it.

    Args:
        reply: what waits for it; cancelled when the time is over.
        timeout_s: time in which the event loop is responsive.
        clock: monotonic, s; that of the event loop when None.

    Raises:
        TimeoutError: the neighbour did not reply, and the loop would have noticed.
        OwnLagError: the loop was not responsive for `MAX_LAG_S`, and there is no reply yet.
    """
    now = clock or asyncio.get_running_loop().time
    slice_s = timeout_s / SLICES
    give_up_at_s = now() + timeout_s + MAX_LAG_S
    responsive = 0
    task = asyncio.create_task(reply)
    try:
        while True:
            begun_s = now()
            await asyncio.wait((task,), timeout=slice_s)
            if task.done():
                return task.result()
            if now() - begun_s - slice_s <= max(slice_s, MAX_OVERSLEPT_S):
                responsive += 1
            if responsive == SLICES:
                raise TimeoutError(f"no reply within {timeout_s * 1000:g} ms")
            if now() >= give_up_at_s:
                raise OwnLagError("the event loop of this process was too busy to read a reply")
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    """Look at how a reply ended that nobody waits for: asyncio complains when no one does."""
    if not task.cancelled():
        task.exception()
