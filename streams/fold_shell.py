"""The shell around a fold: rounds of batches, positions, and the gap check.

A round holds at most one batch of each partition. It is folded in one go, because a round costs as
much as hundreds of events whatever it holds; then every partition's state and position are
written by a script of their own. While a round is being written, the next one is folded, and
what the round before it tells others is on its way to Kafka.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, TypeVar

from freshet.core.clock import Clock
from freshet.core.errors import EventError, ServiceError
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.topics import Topics
from freshet.core.metrics import (
    APPLY_DURATION,
    BATCH_EVENTS,
    EVENT_FRESHNESS,
    EVENTS_LOST,
    EVENTS_REJECTED,
    PARTITION_POSITION,
)
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from streams.dead_letters import dead_letter, letters_among
from streams.letter_bursts import LetterBursts
from streams.partition_state import PartitionState
from streams.record_batch import RecordBatch
from streams.state_loss import Held, whole_position
from streams.store import NO_POSITION, Store, Write

log = logging.getLogger(__name__)

Folded = TypeVar("Folded")
Cache = TypeVar("Cache", bound=Sized)

MOST_CACHED = 200_000  # records of a fold in memory; beyond it, the cache starts anew


@dataclass(frozen=True, slots=True)
class FoldContext:
    """What every fold is handed by the composition root.

    Attributes:
        metered: whether metrics are counted; not where an evaluation runs the folds in its process.
        bursts: logs the dead letters of all folds.
    """

    settings: Settings
    partitions: int
    store: Store
    producer: EventProducer
    clock: Clock
    metered: bool = True
    bursts: LetterBursts = field(default_factory=LetterBursts)

    @property
    def keys(self) -> Keys:
        """Redis keys of the namespace."""
        return Keys(self.settings.namespace)

    @property
    def topics(self) -> Topics:
        """Topics of the namespace."""
        return Topics(self.settings.namespace)


class FoldShell(ABC, Generic[Folded, Cache]):
    """Reads the state that a round needs, folds, and writes state and position together.

    `start` is called when a partition is assigned, `apply` with each round, in order. In memory
    the position moves when a round is folded, in Redis when it is written; if that fails, the
    worker ends, and nobody saw the difference.

    One cache serves all partitions, so that a round looks its records up in one go. It holds what
    Redis holds: this worker is the only writer, and whatever casts doubt on that ends the worker.
    """

    name: str

    def __init__(self, context: FoldContext) -> None:
        self.context = context
        self._states: dict[int, PartitionState] = {}
        self._cache = self._new_cache()
        self._folding = asyncio.Lock()  # asyncio's locks are fair: rounds keep their order
        self._writing = asyncio.Lock()
        self._telling = asyncio.Lock()
        # Found once: looking a label up costs more than counting.
        self._lost = EVENTS_LOST.labels(self.name)
        self._batch_events = BATCH_EVENTS.labels(self.name)
        self._apply_duration = APPLY_DURATION.labels(self.name)
        self._freshness = EVENT_FRESHNESS.labels(self.name)
        self._positions = [
            PARTITION_POSITION.labels(self.name, str(partition))
            for partition in range(context.partitions)
        ]

    @property
    @abstractmethod
    def topic(self) -> str:
        """The topic that this fold reads."""

    @abstractmethod
    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""

    @abstractmethod
    def held(self, partition: int) -> Held:
        """Return what is kept of a partition beside its position."""

    @abstractmethod
    def _new_cache(self) -> Cache:
        """Return an empty cache of records."""

    async def _load(self, partition: int) -> None:
        """Load what is held whole of a partition that was assigned; nothing, unless told."""

    @abstractmethod
    async def _fold(self, batches: Sequence[RecordBatch]) -> Folded:
        """Fold records that no one has applied before, and move the positions in memory."""

    @abstractmethod
    async def _write(self, folded: Folded) -> None:
        """Write what the fold made, behind what must be in Kafka first."""

    @abstractmethod
    def _count(self, folded: Folded) -> None:
        """Count what a round did, once it is written."""

    async def _tell(self, folded: Folded) -> None:
        """Produce what a round keeps in an outbox, once it is written; by default there is none."""

    async def start(self, partition: int, earliest: int) -> int:
        """Load the position of a partition that was assigned, forgetting what was cached.

        Args:
            partition: number of the partition.
            earliest: first offset that the log still holds.

        Returns:
            The offset to read from.

        Raises:
            SettingError: Redis has the state without its position, or the other way round.
            ServiceError: Redis failed.
        """
        async with self._folding, self._writing, self._telling:
            name, key = f"{self.topic}-{partition}", self.position_key(partition)
            position = await whole_position(self.context.store, name, key, self.held(partition))
            state = PartitionState(name, position, earliest)
            self._cache = self._new_cache()  # of the partition, others may have written since
            await self._load(partition)
            self._states[partition] = state
            if state.next == NO_POSITION:
                return earliest
            return max(state.next, earliest)

    @property
    def most_bytes(self) -> int | None:
        """Most bytes of a partition's records in a round, None for any; see `batch_events`."""
        return None

    @property
    def alone(self) -> bytes | None:
        """How the value of a record begins that must be a batch by itself, None for none."""
        return None

    async def apply(self, batches: Sequence[RecordBatch]) -> None:
        """Apply a round; records that were applied before are passed over.

        Args:
            batches: at most one of each partition.

        Raises:
            ServiceError: Kafka or Redis failed, or a position is not where it was left. The
                worker must end: nothing may be acknowledged.
        """
        async with self._folding:
            await self._trim()
            rest = [found for batch in batches if (found := self._unapplied(batch)) is not None]
            if not rest:
                return
            states = [self._states[batch.partition] for batch in rest]
            lost = {state.name: state.lost for state in states if state.lost}
            folded = await self._fold(rest)
            await self._writing.acquire()
        try:
            await self._write(folded)
        finally:
            self._writing.release()
        self._note_lost(lost)
        if self.context.metered:
            self._count(folded)
            for batch in rest:
                self._observe(batch)
        async with self._telling:  # nothing is awaited before this: rounds keep their order
            await self._tell(folded)

    async def _trim(self) -> None:
        """Empty the cache when it has grown too large."""
        if len(self._cache) > MOST_CACHED:
            async with self._writing:  # what a round left there must be in Redis to be read again
                self._cache = self._new_cache()

    def _unapplied(self, batch: RecordBatch) -> RecordBatch | None:
        rest = self._states[batch.partition].unapplied(batch)
        return rest if rest is not None and len(rest) else None

    def _note_lost(self, lost: dict[str, int]) -> None:
        # Only the start of the log may pass the position. It is counted, never silent.
        if lost:
            if self.context.metered:
                self._lost.inc(sum(lost.values()))
            log.error("the log lost records before they were applied: %s", lost)

    async def _apply_writes(self, writes: Sequence[Write]) -> None:
        """Write state and positions, and time it."""
        started_s = perf_counter()
        await self.context.store.apply(writes)
        if self.context.metered:
            self._apply_duration.observe(perf_counter() - started_s)

    async def _deliver(self, records: Sequence[Record]) -> None:
        failed = [error for error in await self.context.producer.deliver(records) if error]
        if failed:
            raise ServiceError("kafka", f"{len(failed)} records not delivered: {failed[0]}")
        if not self.context.metered:
            return
        # Not before: a letter that Kafka refuses is written, and then counted, by the next worker.
        letters = letters_among(self.context.topics.dead_letters, records)
        for letter in letters:
            EVENTS_REJECTED.labels(letter.reason).inc()
        self.context.bursts.note(letters)

    def _dead_letter(self, batch: RecordBatch, index: int, error: EventError) -> Record:
        return dead_letter(self.context.topics.dead_letters, batch, index, error)

    def _observe(self, batch: RecordBatch) -> None:
        self._batch_events.observe(len(batch))
        self._positions[batch.partition].set(batch.end)
        # The batch's oldest record: the figure errs on the bad side, and costs nothing per event.
        waited_ms = max(self.context.clock() - batch.ts_ms[0], 0)
        self._freshness.observe(waited_ms / 1000)
