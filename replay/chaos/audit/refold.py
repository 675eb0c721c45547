"""The logs of a run, folded again in this process, in other batches, into a store in memory.

Law 4 of the design: what workers made of the logs through every fault must be what comes out here,
field by field. Nothing of the product is imitated, so a bug of a fold that strikes every time is in
both; that is for the simple truths of `replay/chaos` to find.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, cast

from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.reader import StateReader
from replay.chaos.audit.logs import Logged, Logs, batch_of
from streams.catalog_shell import CatalogShell
from streams.fold_shell import FoldContext, FoldShell
from streams.item_shell import ItemShell
from streams.item_vectors import LiveVectors
from streams.joiner_shell import JoinerShell
from streams.memory_store import MemoryStore
from streams.record_batch import RecordBatch
from streams.user_shell import UserShell

OTHER_BATCH_EVENTS: Final = 173  # of a partition in a round; workers of a run take what has come
_NO_FOLDER: Final = Path("/nonexistent")  # no bundle is published in a run


class Refolded:
    """What the logs come to.

    Attributes:
        state: all sections of it.
        produced: what the folds produced, by topic.

    Args:
        logs: read whole.
        settings: of the workers.
        partitions: of the topics.
        vectors: of the items, as the workers had them.
        batch_events: most records of a partition in a round.
    """

    def __init__(
        self,
        logs: Logs,
        settings: Settings,
        partitions: int,
        vectors: LiveVectors | None = None,
        *,
        batch_events: int = OTHER_BATCH_EVENTS,
    ) -> None:
        store, producer = MemoryStore(), _Produced()
        client: Any = _MemoryClient(store)
        self.state = StateReader(client, settings.namespace, partitions)
        self.produced = producer.records
        self._topics = Topics(settings.namespace)
        self._partitions = partitions
        self._batch_events = batch_events
        context = FoldContext(
            settings, partitions, store, cast(EventProducer, producer), lambda: 0, metered=False
        )
        asyncio.run(self._fold(logs, context, vectors or LiveVectors(_NO_FOLDER)))

    async def _fold(self, logs: Logs, context: FoldContext, vectors: LiveVectors) -> None:
        await self._through(UserShell(context, vectors), logs.events.records)
        await self._through(ItemShell(context), self._deltas())
        await self._through(CatalogShell(context), logs.catalog.records)
        await self._through(JoinerShell(context), logs.slates.records)

    def _deltas(self) -> list[list[Logged]]:
        """Return what the user fold told the items, as if it stood in a log."""
        values: list[list[bytes | None]] = [[] for _ in range(self._partitions)]
        for record in self.produced[self._topics.item_deltas]:
            values[record.partition].append(record.value)
        return [
            [Logged(offset, None, value, 0, {}) for offset, value in enumerate(each)]
            for each in values
        ]

    async def _through(
        self, fold: FoldShell[Any, Any], records: Sequence[Sequence[Logged]]
    ) -> None:
        for partition in range(self._partitions):
            await fold.start(partition, 0)
        for batches in self._rounds(fold, records):
            await fold.apply(batches)

    def _rounds(
        self, fold: FoldShell[Any, Any], records: Sequence[Sequence[Logged]]
    ) -> Iterator[list[RecordBatch]]:
        pieces = [
            batch_of(fold.topic, partition, some).pieces(
                self._batch_events, fold.most_bytes, fold.alone
            )
            for partition, some in enumerate(records)
            if some
        ]
        for batches in zip_longest(*pieces):
            yield [batch for batch in batches if batch is not None]


def differences(found: StateReader, expected: StateReader) -> tuple[int, list[str]]:
    """Return how many fields there should be, and those that are missing, wrong or too many.

    Args:
        found: what workers made of the logs.
        expected: what the logs come to.

    Returns:
        The number of fields, and the names of those that differ behind their section.
    """
    compared, differing = 0, []
    wanted = expected.entries()
    for section, entries in found.entries().items():
        here, there = dict(entries), dict(wanted[section])
        compared += len(there)
        differing += [
            f"{section}: {name.decode(errors='replace')}"
            for name in sorted({*here, *there})
            if here.get(name) != there.get(name)
        ]
    return compared, differing


class _MemoryClient:
    """Reads a store in memory as a client of Redis would, for `StateReader`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def hget(self, key: str, name: str) -> bytes | None:
        return self._store.hashes.get(key, {}).get(name)

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        position = self._store.positions.get(key, {})
        return {name.encode(): str(value).encode() for name, value in position.items()}

    def hscan_iter(self, key: str, count: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        del count
        for name, value in self._store.hashes.get(key, {}).items():
            yield name.encode(), value


class _Produced:
    """Takes what the folds produce, by topic."""

    def __init__(self) -> None:
        self.records: defaultdict[str, list[Record]] = defaultdict(list)

    async def deliver(self, records: Sequence[Record], _timeout_s: float = 5) -> list[str | None]:
        for record in records:
            self.records[record.topic].append(record)
        return [None] * len(records)
