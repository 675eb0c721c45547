"""Events in Kafka to state in Redis: one worker, both folds counted, against a plain Faust agent.

The events lie in the topic before the clock starts. It starts with the first event applied and
stops when user side and item side count them all. Broker, Redis and worker share the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click
import redis

from benchmarks.plain_faust import APPLIED_KEY
from benchmarks.workload import encoded_events, produce_all
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of
from freshet.core.state.reader import StateReader
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.redis import RedisServer
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

USERS, ITEMS = 20_000, 10_000
POLL_S = 0.02
TIMEOUT_S = 300.0


@click.command()
@click.option("--events", default=400_000, help="Events of a round of the worker.")
@click.option("--plain-events", default=60_000, help="Events of a round of the plain agent.")
@click.option("--rounds", default=3, help="Rounds of each, in turn; medians are printed.")
def main(events: int, plain_events: int, rounds: int) -> None:
    """Measure one worker against a plain Faust agent, on Apache Kafka."""
    ours, plain, cpu = [], [], []
    for number in range(rounds):
        rate, seconds = measure_worker(events, number)
        ours.append(rate)
        cpu.append(seconds / events * 1e6)
        plain.append(measure_plain(plain_events, number))
        click.echo(f"round {number + 1}: worker {ours[-1]:,.0f}/s, plain Faust {plain[-1]:,.0f}/s")
    figures = {
        "broker": "kafka",
        "events": events,
        "events_per_s": round(statistics.median(ours)),
        "events_per_s_rounds": [round(rate) for rate in ours],
        "redis_cpu_us_per_event": round(statistics.median(cpu), 2),
        "plain_faust_events_per_s": round(statistics.median(plain)),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, plain, strict=True)), 2),
        "load_average": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))


def measure_worker(events: int, seed: int) -> tuple[float, float]:
    """Return the events per second of one worker, and the CPU seconds that Redis took."""
    with ExitStack() as stack:
        settings, partitions = _prepare(stack, events, seed)
        publish_tiny_bundle(Path(settings.models_dir), tiny_items(ITEMS))
        client = redis.Redis.from_url(settings.redis_url)
        reader = StateReader(client, settings.namespace, partitions)

        def applied() -> int:
            sides = (reader.user_positions(), reader.item_positions())
            return min(sum(at.get("applied", 0) for at in side) for side in sides)

        command = [sys.executable, "-m", "freshet.commands.main", "worker", "--alone"]
        _start(stack, command, environment_of(settings))
        rate = _rate(applied, events)
        cpu = client.info("cpu")
        return rate, cpu["used_cpu_user"] + cpu["used_cpu_sys"]


def measure_plain(events: int, seed: int) -> float:
    """Return the events per second of the plain Faust agent."""
    with ExitStack() as stack:
        settings, _ = _prepare(stack, events, seed)
        client = redis.Redis.from_url(settings.redis_url)
        topic = Topics(settings.namespace).events
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        command = [sys.executable, "-m", "benchmarks.plain_faust"]
        command += [settings.kafka_bootstrap, settings.redis_url, topic]
        _start(stack, command, {"FAUST_DATADIR": folder})
        return _rate(lambda: int(client.get(APPLIED_KEY) or 0), events)


def _prepare(stack: ExitStack, events: int, seed: int) -> tuple[Settings, int]:
    """Start Kafka and Redis and put the events into the topic."""
    kafka = stack.enter_context(KafkaBroker())
    server = stack.enter_context(RedisServer())
    models = stack.enter_context(tempfile.TemporaryDirectory())
    settings = Settings(
        namespace="bench", kafka_bootstrap=kafka.bootstrap, redis_url=server.url, models_dir=models
    )
    partitions = discover_partitions(settings)
    keys, values = encoded_events(events, users=USERS, items=ITEMS, seed=seed)
    produce_all(kafka.bootstrap, Topics("bench").events, partitions, keys, values)
    return settings, partitions


def _start(stack: ExitStack, command: list[str], environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)


def _rate(applied: Callable[[], int], events: int) -> float:
    """Return the rate from the first event seen applied to the last."""
    deadline = time.monotonic() + TIMEOUT_S
    started, first = 0.0, 0
    while (count := applied()) < events:
        now = time.monotonic()
        if now > deadline:
            raise click.ClickException(f"only {count:,} of {events:,} events within {TIMEOUT_S} s")
        if count and not started:
            started, first = now, count
        time.sleep(POLL_S)
    return (events - first) / (time.monotonic() - started)


if __name__ == "__main__":
    main()
