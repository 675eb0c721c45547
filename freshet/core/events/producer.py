"""The one Kafka producer: idempotent, explicit partitions, acknowledged by all replicas.

Law: whoever promises that a record is kept waits for its delivery report first; a record that was
not delivered is an error of the caller's own, never a log line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, Producer

from freshet.core.errors import ServiceError
from freshet.core.events.client import Brokers, client_options

log = logging.getLogger(__name__)

DELIVERY_TIMEOUT_MS = 10_000

Delivered = Callable[[Any, Any], None]
"""Called with (error or None, message) from the polling thread."""


class Record(NamedTuple):
    """What is to be produced. A value of None deletes the key from a compacted topic."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Placed(NamedTuple):
    """Where a record stands in the log, and when the log took it, ms."""

    offset: int
    append_ts_ms: int


class EventProducer:
    """Produces records and answers for their delivery.

    Args:
        brokers: settings, or host:port[,host:port].
        linger_ms: how long a record may wait for company; 0 for the least latency.
        max_batch_bytes: what the brokers take at once; librdkafka fails a whole batch above it.
    """

    def __init__(
        self, brokers: Brokers, *, linger_ms: float = 0, max_batch_bytes: int = 1_000_000
    ) -> None:
        self._producer = Producer(
            client_options(brokers)
            | {
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": linger_ms,
                "message.max.bytes": max(max_batch_bytes, 1_000),  # the least it knows
                "batch.size": min(max_batch_bytes, 1_000_000),
                "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
                "queue.buffering.max.messages": 200_000,
            },
            logger=log,
        )
        self._failures: list[str] = []
        self._lock = threading.Lock()  # of what follows, which the polling thread counts down
        self._waiting_bytes = 0
        self._closed = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="producer-poll", daemon=True)
        self._poller.start()

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._producer.poll(0.1)

    def _note_failure(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failures.append(str(error))

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        on_delivery: Delivered | None = None,
    ) -> None:
        """Queue a record; waits while the queue is full.

        A delivery that fails is reported to `on_delivery`, or else raised by the next `flush`.

        Raises:
            ServiceError: the client refuses the record: it is too large, or its topic is known to
                have no such partition. A topic that the client has not asked about yet fails at
                delivery instead.
        """
        while True:
            try:
                self._producer.produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    headers=list(headers),
                    on_delivery=on_delivery or self._note_failure,
                )
                return
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                raise ServiceError("kafka", str(error)) from error

    def send_record(self, record: Record, on_delivery: Delivered | None = None) -> None:
        """Queue a record, as `send` does.

        Raises:
            ServiceError: the client refuses it.
        """
        topic, partition, key, value, headers = record
        self.send(topic, partition, value, key=key, headers=headers, on_delivery=on_delivery)

    def flush(self, timeout_s: float = 10.0) -> None:
        """Wait until everything sent is acknowledged.

        Raises:
            ServiceError: something was not, within the time.
        """
        left = self._producer.flush(timeout_s)
        failures, self._failures = self._failures, []
        if left or failures:
            why = failures[0] if failures else f"no answer within {timeout_s:g} s"
            raise ServiceError("kafka", f"{left + len(failures)} records not delivered: {why}")

    @property
    def waiting_bytes(self) -> int:
        """Size of the records that `deliver` and `place` produced and nobody acknowledged yet.

        Also of those whose callers no longer wait: they stay in memory until the brokers answer or
        `DELIVERY_TIMEOUT_MS` is over.
        """
        return self._waiting_bytes

    def is_reachable(self, topic: str, timeout_s: float) -> bool:
        """Return whether the brokers say something of a topic in time; blocks until they do."""
        try:
            found = self._producer.list_topics(topic, timeout=timeout_s).topics.get(topic)
        except KafkaException:
            return False
        return found is not None and found.error is None

    async def deliver(self, records: Sequence[Record], timeout_s: float = 5.0) -> list[str | None]:
        """Produce records and wait for their acknowledgement.

        Returns:
            (n,) None where the record is kept, else why it may not be.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        results: list[str | None] = [f"no answer from Kafka within {timeout_s:g} s"] * len(records)
        left = len(records)
        if not records:
            return []
        self._account(sum(map(_size, records)))

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def report(index: int) -> Delivered:
            def delivered(error: Any, _message: Any) -> None:
                nonlocal left
                results[index] = None if error is None else str(error)
                with self._lock:
                    self._waiting_bytes -= _size(records[index])
                    left -= 1
                    last = left == 0
                if last and not loop.is_closed():
                    loop.call_soon_threadsafe(finish)

            return delivered

        for index, record in enumerate(records):
            try:
                self.send_record(record, report(index))
            except ServiceError as error:  # refused at once; the others are not harmed
                report(index)(error, None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await done
        return list(results)

    async def place(self, record: Record, timeout_s: float = 5.0) -> Placed:
        """Produce one record and return its place in the log.

        Raises:
            ServiceError: it was not acknowledged in time, so it may be in the log or not.
        """
        loop = asyncio.get_running_loop()
        placed: asyncio.Future[Placed] = loop.create_future()

        def settle(error: Any, place: Placed) -> None:
            if placed.done():  # nobody waits any more
                return
            if error is None:
                placed.set_result(place)
            else:
                placed.set_exception(ServiceError("kafka", f"a record was not kept: {error}"))

        def delivered(error: Any, message: Any) -> None:
            self._account(-_size(record))
            place = Placed(-1, -1) if error else Placed(message.offset(), message.timestamp()[1])
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, error, place)

        self._account(_size(record))
        try:
            self.send_record(record, delivered)
        except ServiceError:
            self._account(-_size(record))
            raise
        try:
            async with asyncio.timeout(timeout_s):
                return await placed
        except TimeoutError as error:
            raise ServiceError("kafka", f"no answer within {timeout_s:g} s") from error

    def _account(self, size: int) -> None:
        with self._lock:
            self._waiting_bytes += size

    def close(self, timeout_s: float = 5.0) -> None:
        """Deliver what is queued, and end the client with its threads; may be called twice.

        Args:
            timeout_s: how long to try; what is not delivered then is given up, and its
                `on_delivery` told so.
        """
        if self._closed.is_set():
            return
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(0)
        self._closed.set()
        self._poller.join()
        self._producer.close()


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")
