"""The worker as a process: it is looked at from outside, and it ends itself when it is stuck."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import numpy as np
import psutil
import pytest

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings, environment_of
from freshet.embedded.broker import PARTITION_BYTES
from freshet.embedded.child import Child, freeze

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

WITH_A_FAULT = """
import asyncio, time
from freshet.core.logging import configure_logging
from freshet.core.settings import load_settings
from streams.fold_shell import FoldShell
from streams.worker import run_worker

async def wait_for_ever(self, batches):
    {fault}

FoldShell.apply = wait_for_ever
configure_logging("worker")
run_worker(load_settings())
"""
ALONE = [sys.executable, "-m", "freshet.commands.main", "worker", "--alone"]


def send(settings: Settings, count: int, *, first: int = 0, context_bytes: int = 0) -> None:
    """Produce events of one user, with a context that no codec makes smaller."""
    rng = np.random.default_rng(first)
    partitions = discover_partitions(settings)
    producer = EventProducer(settings.kafka_bootstrap)
    for number in range(first, first + count):
        event = Event(
            event_id=f"e{number}",
            type="click",
            user_id="u",
            item_id="i",
            ts_ms=1_700_000_000_000,
            context={"noise": rng.bytes(context_bytes // 2).hex()},
        )
        topic = Topics(settings.namespace).events
        producer.send(topic, partition_of("u", partitions), encode(event), key=b"u")
    producer.flush()
    producer.close()


def run(command: list[str], settings: Settings) -> subprocess.CompletedProcess[str]:
    """Run a worker until it ends by itself."""
    environment = {**os.environ, **environment_of(settings)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def with_port(settings: Settings) -> Settings:
    """The settings with a free port for the worker's health."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return msgspec.structs.replace(settings, worker_metrics_port=probe.getsockname()[1])


def asked(settings: Settings, path: str) -> httpx.Response | None:
    """The worker's answer, None while it has none."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{settings.worker_metrics_port}{path}", timeout=2)
    return None


def metric(settings: Settings, name: str, **labels: str) -> float | None:
    """One sample that the worker exports."""
    answer = asked(settings, "/metrics")
    wanted = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    found = re.search(
        rf"^{name}{{{wanted}}} (\S+)$", answer.text if answer else "", flags=re.MULTILINE
    )
    return float(found[1]) if found else None


@pytest.mark.parametrize("fault", ["await asyncio.Event().wait()", "time.sleep(600)"])
def test_a_worker_that_is_stuck_ends_itself_and_shows_where(settings: Settings, fault: str) -> None:
    """Whether a task waits for ever or the whole event loop does."""
    settings = msgspec.structs.replace(settings, stall_s=3)
    send(settings, 5)
    done = run([sys.executable, "-c", WITH_A_FAULT.format(fault=fault)], settings)
    assert done.returncode == 75, done.stderr
    assert re.search("stalled: (partition . of the users fold stands|the event loop)", done.stderr)
    assert "Thread 0x" in done.stderr
    assert "wait_for_ever" in done.stderr


def test_a_worker_that_has_grown_too_large_ends_itself(settings: Settings) -> None:
    """No worker fits into a mebibyte."""
    settings = msgspec.structs.replace(settings, stall_s=3, worker_memory_mib=1)
    done = run(ALONE, settings)
    assert done.returncode == 75, done.stderr
    assert re.search(r"memory: the process holds \d+ MiB, expected at most 1 ", done.stderr)


def test_a_worker_that_was_frozen_ends_itself_when_it_wakes(
    settings: Settings, worker: Callable[[Settings], Child], wait_until: Callable[..., None]
) -> None:
    """Its session in the group has ended meanwhile; its successor reads on within seconds."""
    settings = with_port(settings)
    send(settings, 5)
    supervisor = worker(settings)
    at = str(partition_of("u", settings.partitions))

    def lag() -> float | None:
        return metric(settings, "freshet_consumer_lag_records", fold="users", partition=at)

    wait_until(lambda: lag() == 0)
    (process,) = psutil.Process(supervisor.pid).children(recursive=True) or [None]
    assert process is not None
    freeze(process.pid)
    woken_at = time.monotonic() + 12
    send(settings, 5)
    wait_until(lambda: time.monotonic() > woken_at)
    process.resume()
    wait_until(lambda: metric(settings, "freshet_worker_restarts_total", reason="frozen") == 1)
    wait_until(lambda: lag() == 0)


def test_what_the_log_drops_while_a_worker_runs_is_counted(
    settings: Settings, worker: Callable[[Settings], Child], wait_until: Callable[..., None]
) -> None:
    """The worker slept while the broker forgot: it does not go on as if nothing had been there."""
    settings = with_port(settings)
    send(settings, 5)
    supervisor = worker(settings)
    reader = ProgressReader(settings, settings.partitions)
    at = partition_of("u", settings.partitions)

    def total(name: str) -> int:
        return int(reader.positions("users")[at].get(name, 0))

    wait_until(lambda: total("next") == 5)
    process = psutil.Process(supervisor.pid).children(recursive=True)[0]
    freeze(process.pid)
    sent = 5 + PARTITION_BYTES // 5_000
    send(settings, sent - 5, first=5, context_bytes=10_000)  # twice as much as the broker keeps
    process.resume()
    wait_until(lambda: total("next") == sent)
    lost = metric(settings, "freshet_events_lost_total", fold="users")
    assert lost == sent - total("applied") > 0
    reader.close()


def test_a_worker_tells_what_it_does_and_how_often_it_fell(
    settings: Settings, worker: Callable[[Settings], Child], wait_until: Callable[..., None]
) -> None:
    """Lag by partition, health, and the restarts that its supervisor counts."""
    settings = with_port(msgspec.structs.replace(settings, stall_s=6))
    send(settings, 5)
    supervisor = worker(settings)

    def healthy() -> Any:
        answer = asked(settings, "/livez")
        return answer and answer.status_code == 200 and answer.json()["partitions"] == 16

    wait_until(healthy, 30)
    at = str(partition_of("u", settings.partitions))
    wait_until(
        lambda: metric(settings, "freshet_consumer_lag_records", fold="users", partition=at) == 0
    )
    assert metric(settings, "freshet_partition_end_offset", fold="users", partition=at) == 5
    assert metric(settings, "freshet_worker_restarts_total", reason="killed") == 0
    for process in psutil.Process(supervisor.pid).children(recursive=True):
        process.kill()
    wait_until(lambda: metric(settings, "freshet_worker_restarts_total", reason="killed") == 1)
    wait_until(healthy, 30)
