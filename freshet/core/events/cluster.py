"""What the processes must know of the Kafka cluster: that the topics are there, and how wide.

All topics are created here, by whichever process comes first.
"""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.topics import Topics, most_insync, most_replicas
from freshet.core.settings import Settings

_REQUEST_S = 5.0
DEFAULT_MAX_RECORD_BYTES = 1_000_000
"""What a client sends at once unless told otherwise, a little less than brokers take by default."""


def discover_partitions(settings: Settings, *, timeout_s: float = 30.0) -> int:
    """Create the topics that are missing and return the number of partitions of each.

    Raises:
        ServiceError: no broker answered in time.
        SettingError: the topics differ in their number of partitions.
    """
    admin = _admin(settings)
    topics = Topics(settings.namespace).all()
    deadline = time.monotonic() + timeout_s
    problem = "no answer"
    while time.monotonic() < deadline:
        try:
            widths = _widths(admin, topics)
            missing = [name for name in topics if name not in widths]
            if not missing:
                return _agreed(widths)
            problem = f"topics missing: {', '.join(missing)}"
            new = {name: topics[name] for name in missing}
            width = next(iter(widths.values()), settings.partitions)  # as the others have
            refused = _create(admin, new, width)
            problem += f": {refused[0]}" if refused else ""
        except KafkaException as error:
            problem = str(error)
        time.sleep(0.2)
    raise ServiceError(
        "kafka",
        f"{settings.kafka_bootstrap} is not usable within {timeout_s:g} s ({problem}); "
        "is the broker running and FRESHET_KAFKA_BOOTSTRAP right?",
    )


def existing_partitions(settings: Settings) -> int:
    """Return the number of partitions of each topic, for whoever only looks: creates nothing.

    Raises:
        ServiceError: no broker answers, or topics are missing.
        SettingError: the topics differ in their number of partitions.
    """
    topics = Topics(settings.namespace).all()
    try:
        widths = _widths(_admin(settings), topics)
    except KafkaException as error:
        raise ServiceError(
            "kafka",
            f"{settings.kafka_bootstrap} does not answer ({error}); start it, set "
            "FRESHET_KAFKA_BOOTSTRAP, or call this in the folder where `freshet up` runs",
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
    try:
        described = _admin(settings).describe_configs([resource], request_timeout=_REQUEST_S)
        found = int(described[resource].result()["max.message.bytes"].value)
    except (KafkaException, KeyError, TypeError, ValueError):
        return DEFAULT_MAX_RECORD_BYTES
    return min(found, DEFAULT_MAX_RECORD_BYTES)


def cluster_id(settings: Settings) -> str:
    """Return the name of the cluster, "" where it has none.

    Raises:
        ServiceError: no broker answers.
    """
    try:
        return str(_admin(settings).list_topics(timeout=_REQUEST_S).cluster_id or "")
    except KafkaException as error:
        raise ServiceError("kafka", f"{settings.kafka_bootstrap}: {error}") from error


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka_bootstrap, "log_level": 0})


def _widths(admin: AdminClient, topics: dict[str, Any]) -> dict[str, int]:
    # One request a topic: librdkafka's in-process broker creates a topic when asked for it alone.
    widths = {}
    for name in topics:
        found = admin.list_topics(name, timeout=_REQUEST_S).topics.get(name)
        if found is not None and found.error is None and found.partitions:
            widths[name] = len(found.partitions)
    return widths


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


def _agreed(widths: dict[str, int]) -> int:
    if len(set(widths.values())) > 1:
        raise SettingError(
            "partitions",
            widths,
            "the same number for every topic of the namespace; create the "
            "topics anew under another FRESHET_NAMESPACE",
        )
    return next(iter(widths.values()))
