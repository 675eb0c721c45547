"""The shell around a fold: positions, the gap check, and partitions that do not wait for another.

Within a partition batches are applied one after the other; while one partition waits for Kafka or
Redis, another one folds.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from freshet.core.clock import Clock
from freshet.core.errors import EventError, ServiceError
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.topics import Topics
from freshet.core.metrics import (
    BATCH_EVENTS,
    EVENT_FRESHNESS,
    EVENTS_APPLIED,
    EVENTS_LOST,
    PARTITION_POSITION,
)
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from streams.dead_letters import dead_letter
from streams.partition_state import PartitionState
from streams.record_batch import RecordBatch
from streams.store import NO_POSITION, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoldContext:
    """What every fold is handed by the composition root."""

    settings: Settings
    partitions: int
    store: Store
    producer: EventProducer
    clock: Clock

    @property
    def keys(self) -> Keys:
        """Redis keys of the namespace."""
        return Keys(self.settings.namespace)

    @property
    def topics(self) -> Topics:
        """Topics of the namespace."""
        return Topics(self.settings.namespace)


class FoldShell(ABC):
    """Reads the state that a batch needs, folds, and writes state and position together.

    `start` is called when a partition is assigned, `apply` with each batch of it, in order.
    """

    name: str

    def __init__(self, context: FoldContext) -> None:
        self.context = context
        self._states: dict[int, PartitionState] = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        EVENTS_LOST.labels(self.name)  # an alert needs the zero before the first loss

    @property
    @abstractmethod
    def topic(self) -> str:
        """The topic that this fold reads."""

    @abstractmethod
    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""

    @abstractmethod
    async def _apply(self, state: PartitionState, batch: RecordBatch) -> None:
        """Apply records that no one has applied before."""

    async def start(self, partition: int, earliest: int) -> int:
        """Load the position of a partition that was assigned, forgetting what was cached.

        Args:
            partition: number of the partition.
            earliest: first offset that the log still holds.

        Returns:
            The offset to read from.
        """
        async with self._locks[partition]:
            key = self.position_key(partition)
            state = PartitionState(
                f"{self.topic}-{partition}", await self.context.store.position(key)
            )
            self._states[partition] = state
            if state.next == NO_POSITION:
                return earliest
            self._note_lost(state, earliest)
            return max(state.next, earliest)

    async def apply(self, batch: RecordBatch) -> None:
        """Apply a batch; records that were applied before are passed over.

        Raises:
            ServiceError: Kafka or Redis failed, or the position is not where it was left. The
                worker must end: nothing may be acknowledged.
        """
        async with self._locks[batch.partition]:  # fair: batches keep their order
            state = self._states[batch.partition]
            self._note_lost(state, batch.start)
            rest = state.unapplied(batch)
            state.trim()
            if rest is not None and len(rest):
                await self._apply(state, rest)

    def _note_lost(self, state: PartitionState, earliest: int) -> None:
        # Only the start of the log may pass the position. It is counted, never silent.
        if state.next != NO_POSITION and earliest > state.next:
            lost = earliest - state.next
            EVENTS_LOST.labels(self.name).inc(lost)
            log.error("%s: the log lost %d records before they were applied", state.name, lost)

    async def _deliver(self, records: Sequence[Record]) -> None:
        failed = [error for error in await self.context.producer.deliver(records) if error]
        if failed:
            raise ServiceError("kafka", f"{len(failed)} records not delivered: {failed[0]}")

    def _dead_letter(self, batch: RecordBatch, index: int, error: EventError) -> Record:
        return dead_letter(self.context.topics.dead_letters, batch, index, error)

    def _applied(self, state: PartitionState, batch: RecordBatch, events: int) -> None:
        EVENTS_APPLIED.labels(self.name).inc(events)
        BATCH_EVENTS.labels(self.name).observe(events)
        PARTITION_POSITION.labels(self.name, str(batch.partition)).set(state.next)
        # The batch's oldest record: the figure errs on the bad side, and costs nothing per event.
        waited_ms = max(self.context.clock() - batch.ts_ms[0], 0)
        EVENT_FRESHNESS.labels(self.name).observe(waited_ms / 1000)
