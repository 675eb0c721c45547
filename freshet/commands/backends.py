"""The Kafka and the Redis of an installation on this machine, started where nobody named one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from freshet.commands.running import FOLDER
from freshet.core.errors import SettingError
from freshet.core.settings import Settings
from freshet.embedded.broker import EmbeddedBroker
from freshet.embedded.kafka_cluster import KafkaCluster
from freshet.embedded.kafka_jars import KAFKA_VERSION, cache_folder
from freshet.embedded.redis import RedisServer

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Durable:
    """Apache Kafka and a Redis that keep what they have for the next start.

    The two belong together: a position in Redis means nothing in another log.

    Attributes:
        brokers: how many; None for as many as there were, or one.
        folder: holds `kafka` and `redis`.
    """

    brokers: int | None = None
    folder: Path = FOLDER

    @property
    def kafka(self) -> Path:
        """Folder of the brokers."""
        return self.folder / "kafka"

    @property
    def redis(self) -> Path:
        """Folder of Redis."""
        return self.folder / "redis"


def start_backends(
    stack: ExitStack,
    settings: Settings,
    *,
    logs: Path,
    durable: Durable | None = None,
    environ: Mapping[str, str] | None = None,
    say: Say = lambda _: None,
) -> Settings:
    """Start the backends that nobody named and return settings that name them.

    Args:
        stack: ends what was started.
        settings: an address that is not the default was named, in a file or the environment.
        logs: folder of their logs.
        durable: what is kept, and where; None for backends that forget.
        environ: where even the default may be named; the process' own when None.
        say: tells a person what takes a while.

    Raises:
        ServiceError: one of them does not start.
        SettingError: a Kafka is named, and another is to be started.
    """
    environ = os.environ if environ is None else environ
    defaults, started = Settings(), {}
    kafka_named = (
        settings.kafka_bootstrap != defaults.kafka_bootstrap
        or settings.kafka_security_protocol != defaults.kafka_security_protocol  # not of ours
        or "FRESHET_KAFKA_BOOTSTRAP" in environ
    )
    redis_named = settings.redis_url != defaults.redis_url or "FRESHET_REDIS_URL" in environ
    if durable and kafka_named:
        raise SettingError(
            "kafka_bootstrap",
            settings.kafka_bootstrap,
            "no address beside --kafka, which starts a Kafka of its own; leave one of them out",
        )
    if not kafka_named:
        started["kafka_bootstrap"] = _start_kafka(stack, logs, durable, say)
    if not redis_named:
        started["redis_url"] = _start_redis(stack, logs, durable)
    return msgspec.structs.replace(settings, **started)


def _start_kafka(stack: ExitStack, logs: Path, durable: Durable | None, say: Say) -> str:
    if durable is None:
        return stack.enter_context(EmbeddedBroker(log=logs / "broker.log")).bootstrap
    if not cache_folder().is_dir():
        say(f"fetching Apache Kafka {KAFKA_VERSION} (about 45 MB, this once)")
    say(f"starting Apache Kafka {KAFKA_VERSION}")
    return stack.enter_context(
        KafkaCluster(durable.brokers, folder=durable.kafka, logs=logs)
    ).bootstrap


def _start_redis(stack: ExitStack, logs: Path, durable: Durable | None) -> str:
    log = logs / "redis.log"
    if durable is None:
        return stack.enter_context(RedisServer(log=log)).url
    return stack.enter_context(RedisServer(folder=durable.redis, durable=True, log=log)).url
