"""Reads a topic from its start to where it ended when the reading began.

Nothing is committed and no group is joined: who looks leaves no trace. And what is written because
of what was read is beyond the end, so that a reader never feeds itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from freshet.core.errors import ServiceError
from freshet.core.events.client import reader_options
from freshet.core.events.watermarks import watermarks
from freshet.core.settings import Settings

REQUEST_S = 10.0
_POLL_S: Final = 0.1  # `consume` waits so long even when all there is has come
_FETCH: Final = 1_000


class Bounds(NamedTuple):
    """The offsets [start, end) of a partition."""

    start: int
    end: int


class TopicLog:
    """The records of a topic; a context manager.

    Args:
        settings: names the broker and the namespace.
        topic: with its namespace.
        reader: who reads, for the logs of the broker.
    """

    def __init__(self, settings: Settings, topic: str, reader: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            reader_options(settings, f"{settings.namespace}-{reader}")
            | {
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # where retention was quicker
                "fetch.wait.max.ms": 50,
            }
        )

    def bounds(self, partitions: Iterable[int]) -> dict[int, Bounds]:
        """Return where each of these partitions begins and ends now.

        Raises:
            ServiceError: Kafka does not answer.
        """
        return {each: self._bounds(each) for each in partitions}

    def records(self, bounds: Mapping[int, Bounds]) -> Iterator[Any]:
        """Yield the records within bounds, those of a partition in their order.

        Raises:
            ServiceError: Kafka does not answer.
        """
        ends = {each: end for each, (start, end) in bounds.items() if start < end}
        self._consumer.assign(
            [TopicPartition(self._topic, each, bounds[each].start) for each in ends]
        )
        left, heard_s = set(ends), time.monotonic()
        while left:
            messages = self._consumer.consume(_FETCH, timeout=_POLL_S)
            for message in messages:
                if message.error() is not None:
                    _raise_unless_passing(message.error())
                elif message.offset() < ends[message.partition()]:
                    yield message
                if _is_last(message, ends):
                    left.discard(message.partition())
            if messages:
                heard_s = time.monotonic()
            elif left and time.monotonic() - heard_s > REQUEST_S:
                raise ServiceError("kafka", f"{self._topic}: nothing came for {REQUEST_S:.0f} s")

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def __enter__(self) -> TopicLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bounds(self, partition: int) -> Bounds:
        place = TopicPartition(self._topic, partition)
        try:
            return Bounds(*watermarks(self._consumer, place, REQUEST_S))
        except KafkaException as error:
            raise ServiceError("kafka", f"{self._topic}[{partition}]: {error}") from error


def _is_last(message: Any, ends: Mapping[int, int]) -> bool:
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
