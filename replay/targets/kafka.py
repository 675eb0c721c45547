"""Straight into Kafka, as a producer with the right partition function."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.core.events.codec import encode
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event, Item
from freshet.core.events.topics import Topics

FLUSH_S = 60.0
LINGER_MS = 5.0


class KafkaTarget:
    """Sends to the topics of a namespace.

    Args:
        bootstrap: host:port of the brokers.
        namespace: whose topics.
        partitions: of each topic.
    """

    def __init__(self, bootstrap: str, namespace: str, partitions: int) -> None:
        self._producer = EventProducer(bootstrap, linger_ms=LINGER_MS)
        self._topics = Topics(namespace)
        self._partitions = partitions

    def send(self, events: Sequence[Event]) -> int:
        """Queue events; see `Target`."""
        return self._send(self._topics.events, [event.user_id for event in events], events)

    def put_items(self, items: Sequence[Item]) -> None:
        """Queue catalogue entries; see `Target`."""
        self._send(self._topics.catalog, [item.item_id for item in items], items)

    def flush(self) -> None:
        """Wait for the acknowledgements; see `Target`."""
        self._producer.flush(FLUSH_S)

    def close(self) -> None:
        """Deliver what is queued and stop."""
        self._producer.close()

    def _send(self, topic: str, keys: Sequence[str], values: Sequence[Event | Item]) -> int:
        raw_keys = [key.encode() for key in keys]
        partitions = partition_of_hash(murmur2_many(raw_keys), self._partitions)
        largest = 0
        for key, value, partition in zip(raw_keys, values, partitions.tolist(), strict=True):
            raw = encode(value)
            largest = max(largest, len(raw))
            self._producer.send(topic, partition, raw, key=key)
        return largest
