"""The topics of an installation, read whole.

Law: a log that has dropped records is refused: nothing that is built from the rest can be whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from freshet.core.errors import ServiceError
from freshet.core.events.client import reader_options
from freshet.core.events.topics import Topics
from freshet.core.progress import Offsets
from freshet.core.settings import Settings
from streams.record_batch import RecordBatch

READ_S: Final = 30.0


class Logged(NamedTuple):
    """A record of a log.

    Attributes:
        ts_ms: when the log took it.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    ts_ms: int
    headers: Mapping[str, bytes]


class TopicRecords(NamedTuple):
    """A topic.

    Attributes:
        records: of each partition, in their order.
        ends: (partitions,) offset behind the newest record.
    """

    records: Sequence[Sequence[Logged]]
    ends: Offsets


class Logs(NamedTuple):
    """The topics that folds read or write, without the deltas, which follow from the events."""

    events: TopicRecords
    catalog: TopicRecords
    slates: TopicRecords
    examples: TopicRecords


def read_logs(settings: Settings, partitions: int) -> Logs:
    """Return all records of the topics.

    Raises:
        ServiceError: Kafka does not answer, or a log no longer begins at offset 0.
    """
    topics = Topics(settings.namespace)
    names = topics.events, topics.catalog, topics.slates, topics.examples
    return Logs(*(read_topic(settings, name, partitions) for name in names))


def read_topic(settings: Settings, topic: str, partitions: int) -> TopicRecords:
    """Return all records of a topic.

    Raises:
        ServiceError: Kafka does not answer, or the log no longer begins at offset 0.
    """
    found: list[list[Logged]] = [[] for _ in range(partitions)]
    with closing(_consumer(settings)) as consumer:
        starts, ends = _bounds(consumer, topic, partitions)
        if starts.any():
            raise ServiceError(
                "kafka",
                f"{topic} begins at offsets {starts.tolist()}, expected 0: the broker has dropped "
                "records, and a state that is rebuilt from it cannot be whole; use a lower --rate, "
                "fewer --seconds, or --broker kafka",
            )
        for message in _messages(consumer, topic, partitions):
            found[message.partition()].append(
                Logged(
                    message.offset(),
                    message.key(),
                    message.value(),
                    message.timestamp()[1],
                    dict(message.headers() or ()),
                )
            )
    return TopicRecords(found, ends)


def batch_of(topic: str, partition: int, records: Sequence[Logged]) -> RecordBatch:
    """Return the records of a partition as a fold gets them, in one batch."""
    return RecordBatch(
        topic,
        partition,
        0,
        [each.offset for each in records],
        [each.key for each in records],
        [each.value for each in records],
        [each.ts_ms for each in records],
    )


def _consumer(settings: Settings) -> Any:
    group = f"{settings.namespace}-verdict"
    return Consumer(reader_options(settings, group) | {"enable.partition.eof": True})


def _bounds(consumer: Any, topic: str, partitions: int) -> tuple[Offsets, Offsets]:
    """Return the offset of the oldest record of each partition and the one behind its newest."""
    try:
        bounds = [
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=READ_S)
            for partition in range(partitions)
        ]
    except KafkaException as error:
        raise ServiceError("kafka", f"{topic}: {error}") from error
    starts, ends = np.array(bounds, np.int64).reshape(-1, 2).T
    return starts, ends


def _messages(consumer: Any, topic: str, partitions: int) -> Iterator[Any]:
    """Yield the messages of a topic from offset 0 to their end, those of a partition in order."""
    left = set(range(partitions))
    consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
    while left:
        message = consumer.poll(READ_S)
        if message is None:
            raise ServiceError("kafka", f"{topic} not read within {READ_S:g} s")
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition())
