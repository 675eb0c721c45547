"""A log full of events, and how fast processes fold it: what several benchmarks do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import redis

from benchmarks.workload import encoded_events, produce_all
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of, load_settings
from freshet.core.state.reader import StateReader
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.redis import RedisServer
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

USERS, ITEMS = 20_000, 10_000
WORKER = [sys.executable, "-m", "freshet.commands.main", "worker", "--alone"]
POLL_S = 0.02
START_S = 60.0
TIMEOUT_S = 300.0
LAST_LINES = 10

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Stage:
    """Topics of a namespace of its own on a shared Kafka, with an empty Redis of its own."""

    settings: Settings
    partitions: int
    redis: RedisServer
    client: Any

    @property
    def events_topic(self) -> str:
        """Where the events go."""
        return Topics(self.settings.namespace).events

    def applied(self) -> int:
        """Return how many events both the user side and the item side have counted."""
        reader = StateReader(self.client, self.settings.namespace, self.partitions)
        sides = (reader.user_positions(), reader.item_positions())
        return min(sum(at.get("applied", 0) for at in side) for side in sides)

    def produce(self, events: int, seed: int) -> None:
        """Put events into the log."""
        keys, values = encoded_events(events, users=USERS, items=ITEMS, seed=seed)
        bootstrap = self.settings.kafka_bootstrap
        produce_all(bootstrap, self.events_topic, self.partitions, keys, values)


def stage(stack: ExitStack, kafka: KafkaBroker, namespace: str, **settings: Any) -> Stage:
    """Return a new stage; `FRESHET_` variables shape the worker there as anywhere."""
    server = stack.enter_context(RedisServer())
    models = stack.enter_context(tempfile.TemporaryDirectory())
    publish_tiny_bundle(Path(models), tiny_items(ITEMS))
    loaded = load_settings(
        namespace=namespace,
        kafka_bootstrap=kafka.bootstrap,
        redis_url=server.url,
        models_dir=models,
        **settings,
    )
    client = stack.enter_context(redis.Redis.from_url(server.url))
    return Stage(loaded, discover_partitions(loaded), server, client)


@contextmanager
def running_worker(settings: Settings) -> Iterator[Process]:
    """Run one worker without a supervisor for as long as the context lasts."""
    with running(WORKER, environment_of(settings)) as process:
        yield process


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Process]:
    """Run a process for as long as the context lasts; if it ends before, what it said is shown."""
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is not None:
                said.seek(0)
                last = "".join(said.readlines()[-LAST_LINES:])
                click.echo(f"{command!r} ended by itself ({process.returncode}):\n{last}", err=True)
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:  # some of the peers never end
                process.kill()
                process.wait()


def fold_rate(processes: Sequence[Process], applied: Callable[[], int], events: int) -> float:
    """Wait until so many events are applied; return the rate from the first seen to the last."""
    began = time.monotonic()
    started, first = 0.0, 0
    while (count := applied()) < events:
        now = time.monotonic()
        late = now > began + (TIMEOUT_S if started else START_S)
        if late or any(process.poll() is not None for process in processes):
            raise click.ClickException(
                f"{processes[0].args!r}: {count:,} of {events:,} events after {now - began:.0f} s"
            )
        if count and not started:
            started, first = now, count
        time.sleep(POLL_S)
    return (events - first) / (time.monotonic() - started)
