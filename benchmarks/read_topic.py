"""Reads a part of a topic back, to know what became of what a benchmark produced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from freshet.core.errors import ServiceError

FETCH_S = 10.0
FETCH_RECORDS = 10_000


def read_topic(
    bootstrap: str, topic: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> Iterator[Any]:
    """Yield the messages from `starts` up to and without `ends`.

    Args:
        bootstrap: of the brokers.
        topic: its name.
        starts: (partitions,) first offsets.
        ends: (partitions,) offsets behind the last.

    Raises:
        ServiceError: Kafka does not hand them over.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "read-topic",  # never joined
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    left = {p for p in range(len(starts)) if ends[p] > starts[p]}
    consumer.assign([TopicPartition(topic, p, int(starts[p])) for p in left])
    try:
        while left:
            found = consumer.consume(FETCH_RECORDS, FETCH_S)
            if not found:
                raise ServiceError("kafka", f"{topic}: partitions {sorted(left)} not handed over")
            for message in found:
                partition = message.partition()
                if message.error() is None and message.offset() < ends[partition]:
                    yield message
                if message.offset() is not None and message.offset() >= ends[partition] - 1:
                    left.discard(partition)
    finally:
        consumer.close()
