"""How Kafka keeps the topics, against how they are meant to be kept.

A topic that a broker made by itself, because somebody named it, has the broker's own defaults: one
partition, and a catalogue whose entries are deleted by their age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource

_REQUEST_S: Final = 5.0
_AT_LEAST: Final = ("retention.ms", "retention.bytes", "delete.retention.ms", "max.message.bytes")
_UNLIMITED: Final = -1
_MUST: Final = "cleanup.policy"
_SHOULD: Final = "message.timestamp.type"

Configs = Mapping[str, Mapping[str, str]]
"""Of each topic, its configuration by name."""


class Difference(NamedTuple):
    """A configuration that is not what is meant.

    Attributes:
        topic: whose.
        name: of the configuration.
        found: what the topic has.
        expected: what is meant.
        harmful: whether state or records are lost by it.
    """

    topic: str
    name: str
    found: str
    expected: str
    harmful: bool

    def __str__(self) -> str:
        return f"{self.topic} has {self.name}={self.found}, expected {self.expected}"

    @property
    def remedy(self) -> str:
        """What changes it."""
        return (
            f"kafka-configs.sh --alter --entity-type topics --entity-name {self.topic} "
            f"--add-config {self.name}={self.expected}"
        )


def read_configs(admin: AdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return how topics are kept; those that the brokers do not tell of are left out."""
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    found = {}
    try:
        answers = admin.describe_configs(asked, request_timeout=_REQUEST_S)
    except KafkaException:
        return {}
    for resource, answer in answers.items():
        try:
            entries = answer.result()
        except KafkaException:  # this user may not ask
            continue
        found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
    return found


def differences(expected: Configs, found: Configs) -> list[Difference]:
    """Return what is not as it is meant, the harmful first.

    Args:
        expected: as `Topics.all` has it.
        found: as `read_configs` has it.

    >>> meant = {"a.catalog": {"cleanup.policy": "compact"}}
    >>> print(*differences(meant, {"a.catalog": {"cleanup.policy": "delete"}}))
    a.catalog has cleanup.policy=delete, expected compact
    """
    rows = [
        Difference(topic, name, found[topic][name], meant, name == _MUST)
        for topic, config in expected.items()
        for name, meant in config.items()
        if name in found.get(topic, {}) and not _fits(name, found[topic][name], meant)
    ]
    return sorted(rows, key=lambda row: not row.harmful)


def _fits(name: str, found: str, meant: str) -> bool:
    """Return whether a value does what is meant.

    >>> _fits("retention.ms", "-1", "604800000"), _fits("retention.ms", "1000", "604800000")
    (True, False)
    >>> _fits("cleanup.policy", "compact,delete", "compact")
    False
    """
    if name == _MUST:
        return {part.strip() for part in found.split(",")} == {meant}
    if name in _AT_LEAST:
        return int(found) == _UNLIMITED or int(found) >= int(meant)
    return name != _SHOULD or found == meant
