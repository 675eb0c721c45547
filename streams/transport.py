"""The batch transport: Faust's Kafka driver, made to hand over whole fetches.

Stock Faust makes two tasks, a queue hop and an event object for every message, which costs more
than folding it. Here one Faust message carries all records of a topic that were fetched together,
and under load the fetches keep a pace, so that small ones do not use up the processor.
And where stock Faust starts from Kafka's commit, this one starts from the position that
Redis holds; the commit remains as a hint for lag dashboards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from freshet.core.errors import FreshetError, ServiceError
from freshet.core.events.client import READ_COMMITTED
from freshet.core.settings import Settings
from streams.aiokafka_hooks import hook_aiokafka
from streams.exits import Fail
from streams.fetched_records import FetchedRecords
from streams.pace import Pace
from streams.record_batch import RecordBatch
from streams.start_offsets import LOOK_AGAIN_S, start_offsets

log = logging.getLogger(__name__)

StartOffset = Callable[[TP, int], Awaitable[int]]
"""(partition, earliest offset of its log) to the offset to start from."""

Drain = Callable[[], Awaitable[None]]

Full = Callable[[], set[TP]]
"""Returns the partitions from which nothing more should be fetched for now."""

MUCH_BYTES = 262_144  # some 1,300 events: a fetch is answered at once when so much waits
ROOM_LOOK_S = 0.002  # between two looks for room, while every partition has much waiting


class BatchSchema(faust.Schema):
    """Hands the batch through: decoding is the fold's work, where a bad record harms no other."""

    def loads_key(self, _app: Any, message: Any, **_: Any) -> Any:
        """Return the key as it is."""
        return message.key

    def loads_value(self, _app: Any, message: Any, **_: Any) -> Any:
        """Return the batch as it is."""
        return message.value


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = READ_COMMITTED
        consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = 1, self.consumer.idle_wait_ms
        return consumer

    def keep_pace(self, kept: bool) -> None:
        """Let the fetches to come be answered when there is much, or after the wait; or at once.

        One fetch at a time is under way per broker. With a pace, what it brings is new.
        """
        fetcher: Any = self._ensure_consumer()._fetcher
        fetcher._fetch_min_bytes = MUCH_BYTES if kept else 1
        wait_ms = self.consumer.fetch_wait_ms if kept else self.consumer.idle_wait_ms
        fetcher._fetch_max_wait_ms = wait_ms


class BatchConsumer(driver.Consumer):
    """Yields one message per topic and fetch, and starts from the positions in Redis."""

    # set on the subclass that `batch_transport` makes
    start_offset: StartOffset
    drain: Drain
    full: Full
    fail: Fail
    fetch_wait_ms: int
    idle_wait_ms: int
    look_again_s: float = LOOK_AGAIN_S

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetched_to: dict[TP, int] = {}
        self._read_to: dict[TP, int] = {}
        self._pace = Pace(type(self).fetch_wait_ms)
        self._paced = False

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        """Leave out the partitions that have much waiting: a backlog must not hold up the rest."""
        wanted = (active_partitions or set()) - type(self).full()
        if active_partitions and not wanted:
            await asyncio.sleep(ROOM_LOOK_S)
            return {}
        found = await super()._getmany(wanted, timeout)
        records = sum(len(each.offsets) for fetched in found.values() for each in fetched)
        paced = self._pace.is_kept(records, asyncio.get_running_loop().time())
        if paced != self._paced:
            self._paced = paced
            self._thread.keep_pace(paced)
        return found

    async def getmany(  # the signature is Faust's
        self,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[tuple[TP, Any]]:
        """Fetch, and yield one message per topic, in the name of one of its partitions."""
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        generation = self.app.consumer_generation_id
        by_topic: dict[str, list[RecordBatch]] = {}
        for tp, (fetched,) in records.items():
            batch = self._batch(tp, fetched)
            # Behind a marker of a transaction or a compacted record, reading went on from where it
            # was; nobody asks the broker for its start then, behind a fetch that may wait.
            if self._read_to.get(tp) != fetched.start:
                await self._require_no_loss(tp, batch)
            self._read_to[tp] = fetched.end
            if active is None or tp in active or tp in self._buffered_partitions:
                by_topic.setdefault(tp.topic, []).append(batch)
        for batches in by_topic.values():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # a rebalance: it seeks again before anything is read
            yield self._message(batches, generation)

    def _batch(self, tp: TP, fetched: FetchedRecords) -> RecordBatch:
        # A batch that is fetched and not handed over leaves a gap between its neighbours, which
        # the fold notices, because each batch names the offset that reading went on from.
        offsets = fetched.offsets
        start = self._fetched_to.get(tp, offsets[0])
        self._fetched_to[tp] = offsets[-1] + 1
        columns = (offsets, fetched.keys, fetched.values, fetched.ts_ms)
        return RecordBatch(tp.topic, tp.partition, start, *columns)

    async def _require_no_loss(self, tp: TP, batch: RecordBatch) -> None:
        """End the worker when the log has dropped what comes next; the next one counts the loss.

        The client reads on at the new start of the log without a word. Other holes, of compaction
        and transactions, are harmless.
        """
        if batch.offsets[0] == batch.start:
            return
        first = int((await self.earliest_offsets(tp))[tp] or 0)
        if first > batch.start:
            type(self).fail(
                ServiceError(
                    "kafka",
                    f"{tp.topic}-{tp.partition} begins at offset {first}, expected at most "
                    f"{batch.start}: it dropped records before they were read. The worker starts "
                    "again and counts them",
                )
            )

    def _message(self, batches: list[RecordBatch], generation: int) -> tuple[TP, Any]:
        first = batches[0]
        tp = TP(first.topic, first.partition)
        message = ConsumerMessage(
            first.topic,
            first.partition,
            first.offsets[-1],
            first.ts_ms[-1] / 1000,
            0,
            None,
            None,
            batches,
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )
        return tp, message

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition to the position that Redis holds."""
        assigned = [TP(tp.topic, tp.partition) for tp in self.assignment()]
        if not assigned:
            return {}
        # Before the positions, which may pass it: what the log drops later is noticed by the fetch.
        earliest = await self.earliest_offsets(*assigned)

        async def start(tp: TP) -> int:
            return await type(self).start_offset(tp, int(earliest[tp] or 0))

        async def ends(tps: Iterable[TP]) -> Mapping[TP, int | None]:
            found: Mapping[TP, int | None] = await self.highwaters(*tps)
            return found

        try:
            positions = await start_offsets(
                assigned, start, ends, look_again_s=type(self).look_again_s
            )
        except FreshetError as error:
            type(self).fail(error)
        await self.seek_wait(positions)
        self._fetched_to = dict(positions)
        self._read_to = dict(positions)
        log.info(
            "start from %s", {f"{tp.topic}-{tp.partition}": at for tp, at in positions.items()}
        )
        return positions

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is under way before another worker may take the partitions."""
        await super().on_partitions_revoked(revoked)
        await type(self).drain()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: the offsets inside a batch are no gap."""

    def _filter_committable_offsets(self, _tps: Iterable[TP]) -> dict[TP, int]:
        """Return what was read: a hint for lag dashboards, since Redis holds the position."""
        for tp in list(self._acked):
            self._acked[tp].clear()
            self._acked_index[tp].clear()
        if self.app.rebalancing:
            # Behind a join, a commit is answered with the generation before it, upon which the
            # client joins again, and so on without end.
            return {}
        return {tp: at for tp, at in self._fetched_to.items() if at}


def batch_transport(
    start_offset: StartOffset,
    drain: Drain,
    full: Full,
    fail: Fail,
    settings: Settings,
    idle_wait_ms: int,
) -> type[Any]:
    """Return a Faust transport whose consumers start where `start_offset` says.

    Args:
        start_offset: see `StartOffset`.
        drain: waits until no batch of this worker is under way.
        full: see `Full`.
        fail: ends the process; never returns.
        settings: how long a fetch waits under load.
        idle_wait_ms: how long one waits for the first record; see `streams.pace.idle_wait_ms`.
    """
    own = {
        "start_offset": staticmethod(start_offset),
        "drain": staticmethod(drain),
        "full": staticmethod(full),
        "fail": staticmethod(fail),
        "fetch_wait_ms": settings.fetch_wait_ms,
        "idle_wait_ms": idle_wait_ms,
    }
    hook_aiokafka()
    consumer = type("StartingConsumer", (BatchConsumer,), own)
    return type("BatchTransport", (driver.Transport,), {"Consumer": consumer})
