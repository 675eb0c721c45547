"""Reads the dead-letter topic from its start to where it ended when the reading began.

Nothing is committed and no group is joined: who looks leaves no trace. And what is written because
of what was read is beyond the end, so that sending letters again never feeds itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from freshet.core.errors import EventError, ServiceError
from freshet.core.events.dead_letter import DeadLetter, read_letter
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

REQUEST_S = 10.0
_POLL_S = 0.1  # `consume` waits so long even when all there is has come
_FETCH = 1_000


class DeadLetterLog:
    """The dead letters of an installation; a context manager.

    Args:
        settings: names the broker and the namespace.
        partitions: of the topic.

    Attributes:
        strange: records of the topic that are no dead letters, as met so far.
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.strange = 0
        self._topic = Topics(settings.namespace).dead_letters
        self._partitions = range(partitions)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "group.id": f"{settings.namespace}-dead-letter-log",  # never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )

    def letters(self, partition: int | None = None) -> Iterator[DeadLetter]:
        """Yield letters and receipts, those of a partition in their order.

        Args:
            partition: the only one to read; all when None.

        Raises:
            ServiceError: Kafka does not answer.
        """
        chosen = self._partitions if partition is None else [partition]
        bounds = {each: self._bounds(each) for each in chosen}
        ends = {each: end for each, (start, end) in bounds.items() if start < end}
        self._consumer.assign([TopicPartition(self._topic, each, bounds[each][0]) for each in ends])
        left, heard = set(ends), time.monotonic()
        while left:
            for message in self._consumer.consume(_FETCH, timeout=_POLL_S):
                heard = time.monotonic()
                if message.error() is not None:
                    _raise_unless_passing(message.error())
                elif message.offset() < ends[message.partition()]:
                    yield from self._read(message)
                if _is_last(message, ends):
                    left.discard(message.partition())
            if left and time.monotonic() - heard > REQUEST_S:
                raise ServiceError("kafka", f"{self._topic}: nothing came for {REQUEST_S:.0f} s")

    def _read(self, message: Any) -> Iterator[DeadLetter]:
        try:
            _, ts_ms = message.timestamp()
            yield read_letter(message.value(), message.headers() or [], ts_ms)
        except EventError:
            self.strange += 1

    def _bounds(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        try:
            start, end = self._consumer.get_watermark_offsets(place, timeout=REQUEST_S)
        except KafkaException as error:
            raise ServiceError("kafka", f"{self._topic}[{partition}]: {error}") from error
        return start, end

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def __enter__(self) -> DeadLetterLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_last(message: Any, ends: dict[int, int]) -> bool:
    """Return whether nothing of its partition is left to read."""
    if message.error() is not None:  # the log may end before, where retention was quicker
        return bool(message.error().code() == KafkaError._PARTITION_EOF)
    return bool(message.offset() + 1 >= ends[message.partition()])


def _raise_unless_passing(error: Any) -> None:
    """Raise for what will not pass by itself.

    Raises:
        ServiceError: it will not.
    """
    passing = error.retriable() or error.code() in (
        KafkaError._PARTITION_EOF,
        KafkaError._TRANSPORT,
    )
    if not passing:
        raise ServiceError("kafka", str(error))
