"""Straight into Kafka, as a producer with the right partition function."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.core.events.client import Brokers
from freshet.core.events.cluster import DEFAULT_MAX_RECORD_BYTES
from freshet.core.events.codec import TOO_LARGE, encode
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import MAX_EVENT_BYTES, Event, Item
from freshet.core.events.topics import Topics
from replay.targets import Refusal, Sent

FLUSH_S = 60.0
LINGER_MS = 5.0
RECORD_OVERHEAD_BYTES = 200  # of a record that travels alone: framing and headers


class KafkaTarget:
    """Sends to the topics of a namespace.

    Args:
        brokers: settings, or host:port[,host:port].
        namespace: whose topics.
        partitions: of each topic.
        max_record_bytes: what the brokers take at once, a batch or a record.
    """

    def __init__(
        self,
        brokers: Brokers,
        namespace: str,
        partitions: int,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
    ) -> None:
        self._producer = EventProducer(
            brokers, linger_ms=LINGER_MS, max_batch_bytes=max_record_bytes
        )
        self._topics = Topics(namespace)
        self._partitions = partitions
        self._max_record_bytes = max_record_bytes

    def send(self, events: Sequence[Event]) -> Sent:
        """Queue events; see `Target`."""
        return self._send(self._topics.events, [event.user_id for event in events], events)

    def put_items(self, items: Sequence[Item]) -> Sequence[Refusal]:
        """Queue catalogue entries; see `Target`."""
        return self._send(self._topics.catalog, [item.item_id for item in items], items).refused

    def flush(self) -> None:
        """Wait for the acknowledgements; see `Target`."""
        self._producer.flush(FLUSH_S)

    def close(self) -> None:
        """Deliver what is queued and stop."""
        self._producer.close()

    def _send(self, topic: str, keys: Sequence[str], values: Sequence[Event | Item]) -> Sent:
        raw_keys = [key.encode() for key in keys]
        partitions = partition_of_hash(murmur2_many(raw_keys), self._partitions).tolist()
        largest, refused = 0, []
        for at, (key, value) in enumerate(zip(raw_keys, values, strict=True)):
            raw = encode(value)
            if reason := self._too_large(len(raw), len(key)):
                refused.append(Refusal(at, reason))
                continue
            largest = max(largest, len(raw))
            self._producer.send(topic, partitions[at], raw, key=key)
        return Sent(largest, refused)

    def _too_large(self, size: int, key_size: int) -> str:
        """Return why a record of this size is not sent, "" when it is."""
        if size > MAX_EVENT_BYTES:
            return f"{TOO_LARGE}: {size:,} bytes, expected at most {MAX_EVENT_BYTES:,}"
        if size + key_size + RECORD_OVERHEAD_BYTES > self._max_record_bytes:
            return (
                f"{TOO_LARGE}: {size:,} bytes, and the brokers take {self._max_record_bytes:,}; "
                "raise max.message.bytes of the topic"
            )
        return ""
