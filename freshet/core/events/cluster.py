"""What the processes must know of the Kafka cluster: that the topics are there, and how wide."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

_REQUEST_S = 5.0


def discover_partitions(settings: Settings, *, timeout_s: float = 30.0) -> int:
    """Create the topics that are missing and return the number of partitions of each.

    Raises:
        ServiceError: no broker answered in time.
        SettingError: the topics differ in their number of partitions.
    """
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap, "log_level": 0})
    topics = Topics(settings.namespace).all()
    deadline = time.monotonic() + timeout_s
    widths: dict[str, int] = {}
    problem = "no answer"
    while time.monotonic() < deadline:
        try:
            widths = _widths(admin, topics)
            missing = [name for name in topics if name not in widths]
            if not missing:
                return _agreed(widths)
            problem = f"topics missing: {', '.join(missing)}"
            _create(admin, {name: topics[name] for name in missing}, settings.partitions)
        except KafkaException as error:
            problem = str(error)
        time.sleep(0.2)
    raise ServiceError(
        "kafka",
        f"{settings.kafka_bootstrap} is not usable within {timeout_s:g} s ({problem}); "
        "is the broker running and FRESHET_KAFKA_BOOTSTRAP right?",
    )


def _widths(admin: AdminClient, topics: dict[str, Any]) -> dict[str, int]:
    # One request a topic: librdkafka's in-process broker creates a topic when asked for it alone.
    widths = {}
    for name in topics:
        found = admin.list_topics(name, timeout=_REQUEST_S).topics.get(name)
        if found is not None and found.error is None and found.partitions:
            widths[name] = len(found.partitions)
    return widths


def _create(admin: AdminClient, topics: dict[str, dict[str, str]], partitions: int) -> None:
    new = [
        NewTopic(name, num_partitions=partitions, replication_factor=-1, config=config)
        for name, config in topics.items()
    ]
    for future in admin.create_topics(new, request_timeout=_REQUEST_S).values():
        try:
            future.result()
        except KafkaException:
            continue  # another process may have been first; the next look tells


def _agreed(widths: dict[str, int]) -> int:
    if len(set(widths.values())) > 1:
        raise SettingError(
            "partitions",
            widths,
            "the same number for every topic of the namespace; create the "
            "topics anew under another FRESHET_NAMESPACE",
        )
    return next(iter(widths.values()))
