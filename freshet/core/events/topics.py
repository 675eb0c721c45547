"""The topics of an installation, and how Kafka keeps them.

Law: all topics of a namespace have the same number of partitions, discovered from the broker,
so that a key lands in the same partition number everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass


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
        """Answers as served, with features and propensities; key = user id."""
        return f"{self.namespace}.slates"

    @property
    def dead_letters(self) -> str:
        """Records that could not be applied, with topic, partition, offset and reason."""
        return f"{self.namespace}.dead-letters"

    def all(self) -> dict[str, dict[str, str]]:
        """Return each topic's name with its Kafka configuration."""
        kept = {"cleanup.policy": "delete", "retention.ms": str(7 * 86_400_000)}
        return {
            self.events: kept,
            self.item_deltas: kept,
            self.catalog: {"cleanup.policy": "compact"},
            self.slates: kept,
            self.dead_letters: {"cleanup.policy": "delete", "retention.ms": str(30 * 86_400_000)},
        }
