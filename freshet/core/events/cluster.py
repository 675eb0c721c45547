"""What the processes must know of the Kafka cluster: that the topics are there, and how wide.

All topics are created here, by whichever process comes first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from freshet.core.address import is_taken, split_host_port
from freshet.core.advice import SILENT, kafka_advice
from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.client import client_options
from freshet.core.events.topic_configs import Configs, differences, read_configs
from freshet.core.events.topics import Topics, most_insync, most_replicas
from freshet.core.settings import Settings

log = logging.getLogger(__name__)

_REQUEST_S = 5.0
_PROBE_S = 1.0
_DEFAULT_PORT = 9092
_ALL_DOWN = "brokers are down"  # what librdkafka says last, and tells nothing
_EMBEDDED = "mockCluster"  # how the name of librdkafka's in-process cluster begins
DEFAULT_MAX_RECORD_BYTES = 1_000_000
"""What a client sends at once unless told otherwise, a little less than brokers take by default."""


def discover_partitions(settings: Settings, *, timeout_s: float = 30.0) -> int:
    """Create the topics that are missing and return the number of partitions of each.

    Raises:
        ServiceError: no broker answered in time, or they refuse us.
        SettingError: the topics differ in their number of partitions, or are not kept as is meant.
    """
    brokers = Cluster(settings)
    topics = Topics(settings.namespace).all()
    deadline = time.monotonic() + timeout_s
    problem = "no answer"
    while time.monotonic() < deadline:
        try:
            widths = brokers.widths(topics, create=True)
            missing = [name for name in topics if name not in widths]
            if not missing:
                width = _agreed(widths)
                if not brokers.embedded:
                    _require_meant(settings, width, read_configs(brokers.admin, topics))
                return width
            problem = f"topics missing: {', '.join(missing)}"
            new = {name: topics[name] for name in missing}
            width = next(iter(widths.values()), settings.partitions)  # as the others have
            refused = _create(brokers.admin, new, width)
            problem += f": {refused[0]}" if refused else ""
        except KafkaException as error:
            problem = brokers.trouble(error)
        time.sleep(0.2)
    raise ServiceError(
        "kafka",
        f"{settings.kafka_bootstrap} is not usable within {timeout_s:g} s ({problem}): "
        f"{brokers.advice()}",
    )


def existing_partitions(settings: Settings) -> int:
    """Return the number of partitions of each topic, for whoever only looks: creates nothing.

    Raises:
        ServiceError: no broker answers, or topics are missing.
        SettingError: the topics differ in their number of partitions.
    """
    topics = Topics(settings.namespace).all()
    brokers = Cluster(settings)
    try:
        widths = brokers.widths(topics)
    except KafkaException as error:
        problem = brokers.trouble(error)
        raise ServiceError(
            "kafka",
            f"{settings.kafka_bootstrap} does not answer ({problem}): {brokers.advice()}",
        ) from error
    missing = [name for name in topics if name not in widths]
    if missing:
        raise ServiceError(
            "kafka",
            f"{settings.kafka_bootstrap} has no topic {missing[0]}; is FRESHET_NAMESPACE right? "
            "The first `freshet worker` creates the topics",
        )
    return _agreed(widths)


def max_record_bytes(settings: Settings) -> int:
    """Return how much the brokers take at once for a topic of events, a batch or a record, bytes.

    Brokers that do not say take what is usual.
    """
    topic = Topics(settings.namespace).events
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = Cluster(settings).admin  # its futures fail once nothing holds the client
    try:
        described = admin.describe_configs([resource], request_timeout=_REQUEST_S)
        found = int(described[resource].result()["max.message.bytes"].value)
    except (KafkaException, KeyError, TypeError, ValueError):
        return DEFAULT_MAX_RECORD_BYTES
    return min(found, DEFAULT_MAX_RECORD_BYTES)


def retention_ms(settings: Settings, topic: str) -> int | None:
    """Return how long a topic may hold a record, ms; None where it never ends.

    A record goes with its segment, which takes records for `segment.ms` before it ages as a whole.

    Raises:
        ServiceError: the brokers do not say.
    """
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = Cluster(settings).admin  # its futures fail once nothing holds the client
    try:
        described = admin.describe_configs([resource], request_timeout=_REQUEST_S)
        found = described[resource].result()
        kept, segment = (int(found[name].value) for name in ("retention.ms", "segment.ms"))
        deletes = "delete" in str(found["cleanup.policy"].value)
    except (KafkaException, KeyError, TypeError, ValueError) as error:
        raise ServiceError("kafka", f"the retention of {topic} is not known: {error}") from error
    return kept + segment if deletes and kept >= 0 else None


def cluster_id(settings: Settings) -> str:
    """Return the name of the cluster, "" where it has none.

    Raises:
        ServiceError: no broker answers.
    """
    try:
        return str(Cluster(settings).list_topics(_REQUEST_S).cluster_id or "")
    except KafkaException as error:
        raise ServiceError("kafka", f"{settings.kafka_bootstrap}: {error}") from error


def is_embedded(settings: Settings) -> bool:
    """Return whether the broker is librdkafka's in-process one.

    Raises:
        ServiceError: no broker answers.
    """
    return cluster_id(settings).startswith(_EMBEDDED)


class Cluster:
    """The brokers of an installation, as an admin client sees them.

    Attributes:
        admin: the client.
        heard: what it heard that went wrong.
        embedded: whether it is librdkafka's in-process broker, as far as it was asked.
    """

    def __init__(self, settings: Settings) -> None:
        self.heard: list[str] = []
        self.embedded = False
        quiet = {"log_level": 0, "error_cb": lambda error: self.heard.append(error.str())}
        self._settings = settings
        self._addresses = settings.kafka_bootstrap.split(",")
        self._options = client_options(settings) | quiet
        self.admin = AdminClient(self._options)

    def list_topics(self, timeout_s: float) -> Any:
        """Return the brokers and their topics; creates none.

        Raises:
            KafkaException: no broker answers.
        """
        cluster = self.admin.list_topics(timeout=timeout_s)
        self.embedded = str(cluster.cluster_id or "").startswith(_EMBEDDED)
        return cluster

    def widths(self, topics: Iterable[str], *, create: bool = False) -> dict[str, int]:
        """Return the partitions of each of these topics that is there.

        Args:
            topics: names.
            create: let the in-process broker make those that are missing.

        Raises:
            KafkaException: no broker answers.
        """
        found = self.list_topics(_REQUEST_S).topics
        if create and self.embedded and any(name not in found for name in topics):
            # It takes no request to create a topic, and makes one that is asked for alone.
            naming = AdminClient(self._options | {"allow.auto.create.topics": True})
            for name in topics:
                found |= naming.list_topics(name, timeout=_REQUEST_S).topics
        return {
            name: len(found[name].partitions)
            for name in topics
            if name in found and found[name].error is None and found[name].partitions
        }

    def trouble(self, error: KafkaException) -> str:
        """Return what is wrong: the last that was heard, or the error itself."""
        self.admin.poll(0)
        telling = [heard for heard in self.heard if _ALL_DOWN not in heard]
        return telling[-1] if telling else str(error)

    def advice(self) -> str:
        """Return what to do about it."""
        found = [SILENT] if any(map(_is_listening, self._addresses)) else []
        return kafka_advice(self._settings, [*self.heard, *found])


def _is_listening(address: str) -> bool:
    """Return whether somebody takes a connection at host:port."""
    try:
        return is_taken(*split_host_port(address.strip(), _DEFAULT_PORT), _PROBE_S)
    except ValueError:
        return False


def _create(admin: AdminClient, topics: dict[str, dict[str, str]], partitions: int) -> list[str]:
    """Create topics and return why some were not; the next look tells whether it matters."""
    brokers = _brokers(admin)
    insync = {"min.insync.replicas": str(most_insync(brokers))}
    new = [
        NewTopic(
            name,
            num_partitions=partitions,
            replication_factor=most_replicas(brokers),
            config=config | insync,
        )
        for name, config in topics.items()
    ]
    refused = []
    for future in admin.create_topics(new, request_timeout=_REQUEST_S).values():
        try:
            future.result()
        except KafkaException as error:  # another process may have been first
            refused.append(str(error))
    return refused


def _brokers(admin: AdminClient) -> int:
    """Return how many brokers the cluster has, as far as it tells.

    Only those that are up are listed. What the brokers replicate to by themselves tells of one that
    is away just now: its topics must not be the poorer for it.
    """
    listed = sorted(admin.list_topics(timeout=_REQUEST_S).brokers)
    broker = ConfigResource(ConfigResource.Type.BROKER, str(listed[0]))
    [described] = admin.describe_configs([broker], request_timeout=_REQUEST_S).values()
    try:
        replicas = int(described.result()["default.replication.factor"].value)
    except (KafkaException, KeyError, ValueError):  # not allowed to ask, or not told
        replicas = 1
    return max(len(listed), replicas)


def _require_meant(settings: Settings, width: int, configs: Configs) -> None:
    """Refuse topics that lose what they are given, and say what else is not as it is meant.

    Raises:
        SettingError: see above; or the partitions that were asked for are not those of the topics.
    """
    if width != settings.partitions and settings.partitions != Settings().partitions:
        raise SettingError(
            "partitions",
            settings.partitions,
            f"{width}, as the topics of {settings.namespace} have: set FRESHET_PARTITIONS={width}, "
            "or let `freshet worker` create topics under another FRESHET_NAMESPACE. Topics with 1 "
            "are often made by a broker with auto.create.topics.enable",
        )
    for row in differences(Topics(settings.namespace).all(), configs):
        if row.harmful:
            raise SettingError(
                f"{row.name} of topic {row.topic}",
                row.found,
                f"{row.expected}, or what is written there is lost: `{row.remedy}`",
            )
        log.warning("%s; `%s`", row, row.remedy)


def _agreed(widths: dict[str, int]) -> int:
    if len(set(widths.values())) > 1:
        raise SettingError(
            "partitions",
            widths,
            "the same number for every topic of the namespace; create the "
            "topics anew under another FRESHET_NAMESPACE",
        )
    return next(iter(widths.values()))
