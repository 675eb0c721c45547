"""What the HTTP layer is handed: the funnel's state, the way to Kafka, and the names of things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from freshet.core.clock import Clock
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.topics import Topics
from serving.answer_log import AnswerLog, Producer
from serving.erasures import Erasures
from serving.feeds.turns import Turns
from serving.kafka_watch import KafkaWatch
from serving.moment import State
from serving.remains import Retention


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may need.

    Attributes:
        state: what answers are made from.
        producer: the way to Kafka.
        kafka: whether there is room on it.
        log: of what was answered.
        erasures: of people.
        retention: what remains of them, and until when.
        topics: names of the topics.
        partitions: partitions of each topic.
        clock: the wall clock.
        rng: of the exploration, where a request brings no seed.
        new_id: makes request ids and event ids.
        turns: of requests and pushes on the event loop.
    """

    state: State
    producer: Producer
    kafka: KafkaWatch
    log: AnswerLog
    erasures: Erasures
    retention: Retention
    topics: Topics
    partitions: int
    clock: Clock
    rng: np.random.Generator
    new_id: Callable[[], str]
    turns: Turns = field(default_factory=Turns)

    def record(self, topic: str, key: str, value: bytes | None) -> Record:
        """Return a record in the partition of its key."""
        return Record(topic, partition_of(key, self.partitions), key.encode(), value)
