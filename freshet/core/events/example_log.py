"""Reads the topic of examples from positions that the reader keeps, and goes on as it grows.

Nothing is committed and no group is joined: who learns keeps the position beside what was learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from freshet.core.errors import EventError, ServiceError
from freshet.core.events.client import reader_options
from freshet.core.events.examples import Example, decode_example
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

_FETCH: Final = 500
_PASSING: Final = (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


class LoggedExample(NamedTuple):
    """An example, and where it stood."""

    partition: int
    offset: int
    example: Example


class ExampleLog:
    """The examples of an installation, from some positions on; a context manager.

    Args:
        settings: names the broker and the namespace.
        partitions: of the topic.
        positions: next offset of each partition that was read before; others from their start.

    Attributes:
        lost: records that the log dropped before they were read.
        strange: records of the topic that are no examples.
    """

    def __init__(
        self, settings: Settings, partitions: int, positions: Mapping[int, int] | None = None
    ) -> None:
        self.lost = 0
        self.strange = 0
        self._topic = Topics(settings.namespace).examples
        self._next = dict(positions or {})
        self._consumer = Consumer(
            reader_options(settings, f"{settings.namespace}-example-log")
            | {"auto.offset.reset": "earliest"}
        )
        self._assigned = [
            TopicPartition(self._topic, each, self._next.get(each, OFFSET_BEGINNING))
            for each in range(partitions)
        ]
        self._consumer.assign(self._assigned)

    def poll(self, timeout_s: float) -> list[LoggedExample]:
        """Return the next examples, those of a partition in their order; none after the timeout.

        Raises:
            ServiceError: Kafka does not answer, in a way that does not pass by itself.
        """
        found = []
        for message in self._consumer.consume(_FETCH, timeout=timeout_s):
            if message.error() is not None:
                _raise_unless_passing(message.error())
                continue
            partition, offset = message.partition(), message.offset()
            # Before the position: the topic is another one, and is read from its start.
            self.lost += max(offset - self._next.get(partition, offset), 0)
            self._next[partition] = offset + 1
            try:
                found.append(LoggedExample(partition, offset, decode_example(message.value())))
            except EventError:
                self.strange += 1
        return found

    def behind(self) -> int:
        """Return how many records wait, as far as the last fetch told."""
        waiting = 0
        for place in self._assigned:
            try:
                start, end = self._consumer.get_watermark_offsets(place, cached=True)
            except KafkaException:
                continue
            at = max(self._next.get(place.partition, start), start)
            waiting += max(end - at, 0)
        return waiting

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def __enter__(self) -> ExampleLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _raise_unless_passing(error: Any) -> None:
    if not (error.retriable() or error.code() in _PASSING):
        raise ServiceError("kafka", str(error))
