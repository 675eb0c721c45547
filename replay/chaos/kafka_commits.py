"""What Kafka holds as committed: what a fold would start from without the position in Redis."""

from __future__ import annotations

from typing import Final

from confluent_kafka import Consumer, TopicPartition

from freshet.core.events.client import reader_options
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys

COMMIT_S: Final = 10.0  # for Kafka to answer


class KafkaCommits:
    """What Kafka holds as committed, which a worker of ours never reads.

    Args:
        settings: names the broker and the consumer group.
    """

    def __init__(self, settings: Settings) -> None:
        keys, topics = Keys(settings.namespace), Topics(settings.namespace)
        self._partition_of = {
            key_of(number): TopicPartition(topic, number)
            for number in range(settings.partitions)
            for key_of, topic in (
                (keys.user_position, topics.events),
                (keys.item_position, topics.item_deltas),
                (keys.catalog_position, topics.catalog),
                (keys.slate_position, topics.slates),
            )
        }
        self._consumer = Consumer(
            reader_options(settings, settings.namespace)  # asked for its commits
        )

    def of(self, position_key: str) -> int | None:
        """Return the offset committed for the partition of a position, None for none."""
        where = self._partition_of[position_key]
        (found,) = self._consumer.committed([where], timeout=COMMIT_S)
        return found.offset if found.offset >= 0 else None
