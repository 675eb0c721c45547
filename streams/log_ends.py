"""The ends of the logs, asked of the brokers by a client of its own.

The worker's consumer is not asked: it is what is being judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from freshet.core.events.client import Brokers, client_options, reader_options
from streams.liveness import Partition

REQUEST_S = 4.0
READ_S = 5.0


class LogEnds:
    """Asks for the ends of logs, and looks whether a record waits in one.

    Args:
        brokers: settings, or host:port[,host:port].
        topics: the topic that each fold reads.
    """

    def __init__(self, brokers: Brokers, topics: Mapping[str, str]) -> None:
        # Silent: it is asked every few seconds, and its answers say whether a broker is there.
        self._admin = AdminClient(client_options(brokers) | {"log_level": 0})
        self._reader = reader_options(brokers, "none") | {
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
        self._topics = dict(topics)

    def read(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the offset that the next record will get, of the partitions that are answered.

        With no partition to ask for, the answer is about the first of any topic: it tells
        whether a broker is there.
        """
        asked = list(partitions) or [(next(iter(self._topics)), 0)]
        names = {self._name(each): each for each in asked}
        request = {TopicPartition(*name): OffsetSpec.latest() for name in names}
        try:
            answers = self._admin.list_offsets(
                request,
                # What an open transaction wrote can not be read yet: nobody is behind it.
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=REQUEST_S,
            )
        except KafkaException:
            return {}
        found = {
            names[place.topic, place.partition]: _offset(answer)
            for place, answer in answers.items()
        }
        return {each: end for each, end in found.items() if end >= 0}

    def next_record(self, partition: Partition, offset: int) -> int | None:
        """Return the offset of the first record from `offset` on, or None when there is none.

        Raises:
            KafkaException: the brokers do not say.
        """
        consumer = Consumer(self._reader)
        try:
            consumer.assign([TopicPartition(*self._name(partition), offset)])
            message: Any = consumer.poll(READ_S)
        finally:
            consumer.close()
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no record and no end"))
        error = message.error()
        if error is None:
            return int(message.offset())
        if error.code() == KafkaError._PARTITION_EOF:
            return None
        raise KafkaException(error)

    def _name(self, partition: Partition) -> tuple[str, int]:
        fold, number = partition
        return self._topics[fold], number


def _offset(answer: Any) -> int:
    """Return the offset of an answer, negative when there is none."""
    try:
        return int(answer.result().offset)
    except KafkaException:
        return -1
