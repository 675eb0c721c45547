"""A log of one partition of the events, and a user fold that reads it in pieces of any size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freshet.core.events.codec import encode
from freshet.core.events.control import Erasure, Heartbeat, encode_control
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event, EventType
from freshet.core.settings import Settings
from freshet.core.state.records import Records, unpack_users
from streams.fold_shell import FoldContext
from streams.item_vectors import LiveVectors
from streams.memory_store import MemoryStore
from streams.record_batch import RecordBatch
from streams.user_shell import UserShell

from .conftest import NOW_MS, PARTITIONS, MemoryProducer

PARTITION = 2
USERS = [f"user-{n}" for n in range(99) if partition_of(f"user-{n}", PARTITIONS) == PARTITION]

Row = tuple[bytes, int]
"""A value, and when the log took it, ms."""


def event(
    event_id: object,
    user: str = USERS[0],
    ts_ms: int = NOW_MS,
    *,
    item: str = "item",
    kind: EventType = "click",
    log_ts_ms: int = NOW_MS,
    value: float | None = None,
) -> Row:
    """Return an event of a user of the partition."""
    made = Event(
        event_id=f"e{event_id}", type=kind, user_id=user, item_id=item, ts_ms=ts_ms, value=value
    )
    return encode(made), log_ts_ms


def erasure(user: str = USERS[0], ts_ms: int = NOW_MS, log_ts_ms: int = NOW_MS) -> Row:
    """Return an erasure of a user of the partition."""
    return encode_control(Erasure(erase=user, ts_ms=ts_ms)), log_ts_ms


def heartbeat(ts_ms: int = NOW_MS) -> Row:
    """Return a heartbeat."""
    return encode_control(Heartbeat(ts_ms)), ts_ms


class Folded:
    """A user fold in memory, and what it made."""

    def __init__(self, models: Path, **settings: Any) -> None:
        self.store, self.producer = MemoryStore(), MemoryProducer()
        changed = msgspec.structs.replace(Settings(), **settings)
        parts: Any = (changed, PARTITIONS, self.store, self.producer, lambda: NOW_MS)
        self.context = FoldContext(*parts)
        self._models = models
        self._end = 0

    async def start(self) -> UserShell:
        """Start a worker, the first one or the next."""
        self.shell = UserShell(self.context, LiveVectors(self._models))
        await self.shell.start(PARTITION, 0)
        return self.shell

    async def read(self, rows: Sequence[Row], at_most: int = 512) -> None:
        """Append rows to the log, and fold them in pieces."""
        start, self._end = self._end, self._end + len(rows)
        batch = RecordBatch(
            self.shell.topic, PARTITION, start, range(start, self._end),
            [b"k"] * len(rows), [value for value, _ in rows], [ts_ms for _, ts_ms in rows],
        )  # fmt: skip
        for piece in batch.pieces(at_most, None, self.shell.alone):
            await self.shell.apply([piece])

    @property
    def position(self) -> dict[str, int]:
        """The position of the partition, as it is stored."""
        return self.store.positions[self.context.keys.user_position(PARTITION)]

    def totals(self, *names: str) -> tuple[int, ...]:
        """Some fields of the position."""
        return tuple(self.position.get(name, 0) for name in names)

    @property
    def users(self) -> dict[str, bytes]:
        """The stored users."""
        return self.store.hashes.get(self.context.keys.users(PARTITION), {})

    @property
    def erased(self) -> dict[str, bytes]:
        """The stored erasures."""
        return self.store.hashes.get(self.context.keys.erased(PARTITION), {})

    def user(self, name: str = USERS[0]) -> Records:
        """The stored record of a user, (1,); empty when there is none."""
        return unpack_users([self.users.get(name)])
