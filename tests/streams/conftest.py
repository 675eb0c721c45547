"""A fold with everything around it in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from freshet.core.events.producer import Record
from freshet.core.settings import Settings
from streams.fold_shell import FoldContext
from streams.memory_store import MemoryStore

NOW_MS = 1_700_000_000_000
PARTITIONS = 4


class MemoryProducer:
    """Keeps what was produced; fails on demand."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failing = False

    async def deliver(self, records: Sequence[Record], timeout_s: float = 5) -> list[str | None]:
        if self.failing:
            return ["broker away"] * len(records)
        self.records += records
        return [None] * len(records)

    def values(self, topic: str, partition: int | None = None) -> list[bytes | None]:
        return [
            record.value
            for record in self.records
            if record.topic == topic and partition in (None, record.partition)
        ]


@pytest.fixture
def context() -> FoldContext:
    """Store and producer in memory, four partitions, a clock that stands still."""
    store: Any = MemoryStore()
    producer: Any = MemoryProducer()
    settings = Settings(batch_events=5)
    return FoldContext(settings, PARTITIONS, store, producer, lambda: NOW_MS)
