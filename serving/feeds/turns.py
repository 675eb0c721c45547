"""Whose turn it is on the event loop: requests go first, then one push at a time.

Law: a list takes milliseconds of the loop, so two pushes never follow each other without a look at
what came in meanwhile. A push waits for requests, but not for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

MAX_WAIT_S: Final = 0.05


class Turns:
    """Orders requests and pushes."""

    def __init__(self) -> None:
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._one = asyncio.Lock()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold back pushes while a request is answered."""
        self._requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    @asynccontextmanager
    async def push(self) -> AsyncIterator[None]:
        """Wait for the turn of a push: until no request is under way, or for `MAX_WAIT_S`."""
        async with self._one:
            await asyncio.sleep(0)  # requests that arrived during the push before begin here
            if self._requests:
                with suppress(TimeoutError):
                    async with asyncio.timeout(MAX_WAIT_S):
                        await self._idle.wait()
            yield
