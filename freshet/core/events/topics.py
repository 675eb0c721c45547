"""The topics of an installation, and how Kafka keeps them.

Law: all topics of a namespace have the same number of partitions, discovered from the broker,
so that a key lands in the same partition number everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000

# The brokers recompress what producers of others may have sent in a codec that a worker lacks. The
# size is Kafka's own default, named so that a cluster with another one keeps it too; Kafka holds it
# against a whole batch of records, so a size near that of one event would refuse good batches.
_COMMON = {"compression.type": "lz4", "max.message.bytes": str(1024 * 1024 + 12)}


# A record of an event has the time of the broker. By default it has that of the producer, whose own
# clock may be wrong: that of the log is there to tell.
_LOG_TIME = {"message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics of one namespace."""

    namespace: str

    @property
    def events(self) -> str:
        """What people did; key = user id."""
        return f"{self.namespace}.events"

    @property
    def item_deltas(self) -> str:
        """What the user fold tells the item fold; packed columns, partitioned by item."""
        return f"{self.namespace}.item-deltas"

    @property
    def catalog(self) -> str:
        """The catalogue; key = item id, a null value deletes; compacted."""
        return f"{self.namespace}.catalog"

    @property
    def slates(self) -> str:
        """Answers as served, with features and propensities, key = user id; and their outcomes."""
        return f"{self.namespace}.slates"

    @property
    def examples(self) -> str:
        """Answers with what people did with them, to learn from; partitioned by user."""
        return f"{self.namespace}.examples"

    @property
    def dead_letters(self) -> str:
        """Records that could not be applied, with topic, partition, offset and reason."""
        return f"{self.namespace}.dead-letters"

    def all(self) -> dict[str, dict[str, str]]:
        """Return each topic's name with its Kafka configuration."""
        # A deletion must be there to be read for as long as an event is.
        compacted = {"cleanup.policy": "compact", "delete.retention.ms": str(7 * DAY_MS)}
        return {
            self.events: _kept(days=7) | _LOG_TIME,
            self.item_deltas: _kept(days=7),
            self.catalog: _COMMON | compacted,
            self.slates: _kept(days=7),
            self.examples: _kept(days=30),
            self.dead_letters: _kept(days=30),
        }


def most_replicas(brokers: int) -> int:
    """Return how many copies a cluster of so many brokers keeps of each record.

    >>> [most_replicas(brokers) for brokers in (1, 2, 3, 9)]
    [1, 2, 3, 3]
    """
    return min(brokers, 3)


def most_insync(brokers: int) -> int:
    """Return how many copies there must be before a record is acknowledged.

    One broker of three may be away: writing goes on, and what is acknowledged is there twice.

    >>> [most_insync(brokers) for brokers in (1, 2, 3, 9)]
    [1, 1, 2, 2]
    """
    return max(most_replicas(brokers) - 1, 1)


def _kept(*, days: int) -> dict[str, str]:
    return _COMMON | {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}
