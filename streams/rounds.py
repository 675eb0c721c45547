"""Rounds: what came from Kafka meanwhile, at most one batch of each partition at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence

from streams.record_batch import RecordBatch

WAITING = 4  # pieces of a partition; then nothing more of it should be fetched
UNDER_WAY = 3  # rounds: one is folded, one written, and one told of

Apply = Callable[[Sequence[RecordBatch]], Awaitable[None]]


class Rounds:
    """Collects batches into rounds and applies them in order.

    Args:
        apply: applies a round; it never raises, and keeps the order of its calls.
        most_records: of one partition in a round.
        most_bytes: of one partition in a round, None for any.
        alone: a record whose value begins so is in a round without others of its partition.
    """

    def __init__(
        self,
        apply: Apply,
        *,
        most_records: int,
        most_bytes: int | None,
        alone: bytes | None = None,
    ) -> None:
        self._apply = apply
        self._cut = (most_records, most_bytes, alone)
        self._waiting: defaultdict[int, deque[RecordBatch]] = defaultdict(deque)
        self._changed = asyncio.Condition()
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> list[int]:
        """The partitions that have much waiting."""
        return [each for each, waiting in self._waiting.items() if len(waiting) >= WAITING]

    async def put(self, batches: Sequence[RecordBatch]) -> None:
        """Add batches."""
        async with self._changed:
            for batch in batches:
                self._waiting[batch.partition].extend(batch.pieces(*self._cut))
            self._changed.notify_all()

    async def run(self) -> None:
        """Apply rounds for ever."""
        room = asyncio.Semaphore(UNDER_WAY)
        while True:
            await room.acquire()
            task = asyncio.create_task(self._applied(await self._next(), room))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def drain(self) -> None:
        """Drop what waits and wait for what is under way: the partitions go to another worker."""
        async with self._changed:
            for waiting in self._waiting.values():
                waiting.clear()
            self._changed.notify_all()
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _applied(self, batches: list[RecordBatch], room: asyncio.Semaphore) -> None:
        try:
            await self._apply(batches)
        finally:
            room.release()

    async def _next(self) -> list[RecordBatch]:
        """Wait for a batch, and take the first of every partition."""
        async with self._changed:
            await self._changed.wait_for(lambda: any(self._waiting.values()))
            batches = [waiting.popleft() for waiting in self._waiting.values() if waiting]
            self._changed.notify_all()
            return batches
