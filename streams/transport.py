"""The batch transport: Faust's Kafka driver, made to hand over whole batches.

Stock Faust makes two tasks, a queue hop and an event object for every message, which costs more
than folding it. Here one Faust message carries all records of a partition that were fetched
together. And where stock Faust starts from Kafka's commit, this one starts from the position that
Redis holds; the commit remains as a hint for lag dashboards.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from freshet.core.errors import SettingError
from streams.record_batch import RecordBatch

log = logging.getLogger(__name__)

StartOffset = Callable[[TP, int, int], Awaitable[int]]
"""(partition, earliest offset, end offset) to the offset to start from."""


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
        # One fetch at a time is under way per broker, without the partitions that still have
        # unread records. Faust's 1.5 s of patience would be the delay of whatever they get next.
        consumer._fetch_max_wait_ms = self.consumer.fetch_wait_ms
        return consumer


class BatchConsumer(driver.Consumer):
    """Yields one message per partition and fetch, and starts from the positions in Redis."""

    # set on the subclass that `batch_transport` makes
    start_offset: StartOffset
    fetch_wait_ms: int

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetched_to: dict[TP, int] = {}

    async def getmany(  # the signature is Faust's
        self,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[tuple[TP, Any]]:
        """Fetch, and yield one message per partition that has records."""
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        generation = self.app.consumer_generation_id
        batches = [self._batch(tp, fetched) for tp, fetched in records.items()]
        for batch in batches:
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # a rebalance: it seeks again before anything is read
            tp = TP(batch.topic, batch.partition)
            if active is None or tp in active or tp in self._buffered_partitions:
                yield tp, self._message(tp, batch, generation)

    def _batch(self, tp: TP, fetched: Sequence[Any]) -> RecordBatch:
        # A batch that is fetched and not handed over leaves a gap between its neighbours, which
        # the fold notices, because each batch names the offset that reading went on from.
        offsets = [record.offset for record in fetched]
        start = self._fetched_to.get(tp, offsets[0])
        self._fetched_to[tp] = offsets[-1] + 1
        return RecordBatch(
            tp.topic,
            tp.partition,
            start,
            offsets,
            [record.key for record in fetched],
            [record.value for record in fetched],
            [record.timestamp for record in fetched],
        )

    def _message(self, tp: TP, batch: RecordBatch, generation: int) -> Any:
        return ConsumerMessage(
            batch.topic,
            batch.partition,
            batch.offsets[-1],
            batch.ts_ms[-1] / 1000,
            0,
            None,
            None,
            batch,
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition to the position that Redis holds."""
        assigned = [TP(tp.topic, tp.partition) for tp in self.assignment()]
        if not assigned:
            return {}
        earliest = await self.earliest_offsets(*assigned)
        ends = await self.highwaters(*assigned)
        positions = {}
        for tp in assigned:
            first, end = int(earliest[tp] or 0), int(ends[tp] or 0)
            positions[tp] = await type(self).start_offset(tp, first, end)
        await self.seek_wait(positions)
        self._fetched_to = dict(positions)
        log.info(
            "start from %s", {f"{tp.topic}-{tp.partition}": at for tp, at in positions.items()}
        )
        return positions

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: the offsets inside a batch are no gap."""

    def _new_offset(self, tp: TP) -> int | None:
        """Return the newest offset acknowledged: a hint, since Redis holds the position."""
        acknowledged = self._acked[tp]
        if not acknowledged:
            return None
        newest = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return int(newest) + 1


def batch_transport(start_offset: StartOffset, fetch_wait_ms: int) -> type[Any]:
    """Return a Faust transport whose consumers start where `start_offset` says.

    Args:
        start_offset: see `StartOffset`.
        fetch_wait_ms: the broker answers a fetch without news after so long.
    """
    own = {"start_offset": staticmethod(start_offset), "fetch_wait_ms": fetch_wait_ms}
    consumer = type("StartingConsumer", (BatchConsumer,), own)
    return type("BatchTransport", (driver.Transport,), {"Consumer": consumer})


def check_start(tp: TP, position: int, end: int) -> None:
    """Refuse a position behind the end of the log.

    Raises:
        SettingError: the topic was created anew, or the state belongs to another cluster.
    """
    if position > end:
        raise SettingError(
            f"position of {tp.topic}-{tp.partition}",
            position,
            f"at most {end}, the end of the log: the topic was created anew or the state in Redis "
            "belongs to another Kafka cluster. Start under a new FRESHET_NAMESPACE and replay",
        )
