"""A whole installation on Apache Kafka, its processes started as anybody starts them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freshet.commands.processes import Server, start_server, start_worker
from freshet.core.settings import Settings
from freshet.embedded.child import Child
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.redis import RedisServer


@dataclass(frozen=True, slots=True)
class Installation:
    """Kafka and Redis that run; worker and server are started when the benchmark wants them."""

    settings: Settings
    _folder: Path
    _stack: ExitStack

    def start_worker(self) -> Child:
        """Start the worker below its supervisor, and return that."""
        supervisor = start_worker(self.settings, log=self._folder / "worker.log")
        self._stack.callback(supervisor.stop)
        return supervisor

    def start_server(self) -> Server:
        """Start the server and wait until it recommends: a worker must run, a model be there."""
        server = start_server(self.settings, log=self._folder / "server.log")
        self._stack.callback(server.child.stop)
        return server


@contextmanager
def installation(**settings: Any) -> Iterator[Installation]:
    """Have Kafka, Redis and a folder for the models, all empty, for as long as the context lasts.

    Args:
        settings: beyond those that say where everything is.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(KafkaBroker())
        redis = stack.enter_context(RedisServer())
        placed = Settings(
            namespace="bench",
            kafka_bootstrap=kafka.bootstrap,
            redis_url=redis.url,
            models_dir=str(folder / "models"),
            http_port=0,
            **settings,
        )
        yield Installation(placed, folder, stack)
