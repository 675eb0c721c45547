"""Reads that are wanted at the same time, sent together.

A thousand feeds that are woken by one notice want a thousand users at once. As a thousand reads
they would need as many connections, and make each other late.

Law: a read begins after it was asked for, never before: who asks because of a change sees the
change. What is asked for while the reads under way are many waits for the next batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MAX_BATCH: Final = 64  # keys: Redis answers them within a millisecond
MAX_UNDER_WAY: Final = 4


class ReadBatches(Generic[T]):
    """Joins reads of single keys.

    Args:
        read: returns the value of each of some distinct keys, in their order; what it raises is
            raised to all who asked for one of them.
    """

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[Sequence[T]]]) -> None:
        self._read = read
        self._wanted: dict[str, list[asyncio.Future[T]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def get(self, key: str) -> T:
        """Return the value of a key, as it is after this call began."""
        loop = asyncio.get_running_loop()
        value: asyncio.Future[T] = loop.create_future()
        self._wanted.setdefault(key, []).append(value)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._send)  # with all that is asked for in this turn of the loop
        return await value

    def _send(self) -> None:
        self._scheduled = False
        while self._wanted and len(self._under_way) < MAX_UNDER_WAY:
            keys = list(islice(self._wanted, MAX_BATCH))
            batch = asyncio.create_task(self._settle({key: self._wanted.pop(key) for key in keys}))
            self._under_way.add(batch)
            batch.add_done_callback(self._ended)

    async def _settle(self, waiting: dict[str, list[asyncio.Future[T]]]) -> None:
        try:
            values = await self._read(list(waiting))
        except Exception as error:
            for future in _open(waiting):
                future.set_exception(error)
        else:
            for futures, value in zip(waiting.values(), values, strict=True):
                for future in futures:
                    if not future.done():
                        future.set_result(value)
        finally:
            for future in _open(waiting):  # this task was cancelled
                future.cancel()

    def _ended(self, batch: asyncio.Task[None]) -> None:
        self._under_way.discard(batch)
        if not batch.cancelled():
            self._send()


def _open(waiting: dict[str, list[asyncio.Future[T]]]) -> list[asyncio.Future[T]]:
    return [future for futures in waiting.values() for future in futures if not future.done()]
