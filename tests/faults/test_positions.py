"""Log and position drift apart: what was lost is counted, what would mislead is refused."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from freshet.commands.processes import VERB
from freshet.core.events.codec import encode
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of
from freshet.core.state.client import connect
from freshet.core.state.reader import state_hash

from .conftest import Measured, OpenStream, Running
from .plugs import await_worker, frozen
from .steps import Start, caught_up, exact
from .stream import Stream, WaitUntil

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

CHUNK = 1_000


@pytest.fixture
def counting(kafka_settings: Settings, streaming: OpenStream) -> Stream:
    """A stream on Apache Kafka whose worker shows its metrics."""
    return streaming(msgspec.structs.replace(kafka_settings, worker_metrics_port=free_port()))


@pytest.mark.fault(62, promise="refused with a sentence and code 1; the state stays as it is")
def test_a_replay_into_a_namespace_with_events_is_refused(
    running: Running, tmp_path: Path, measured: Measured
) -> None:
    """Two histories are never mixed by mistake."""
    stream = running.stream
    stream.send(100)
    stream.catch_up()
    client = connect(stream.settings.redis_url)
    before = state_hash(client, stream.settings.namespace, stream.partitions)
    log = tmp_path / "other.events.jsonl"
    log.write_bytes(b"".join(encode(event) + b"\n" for event in stream.events(10)))
    refused = subprocess.run(
        [*VERB, "replay", str(log), "--speed", "max"],
        env=os.environ | environment_of(stream.settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "would mix two histories" in refused.stderr
    stream.catch_up()
    assert state_hash(client, stream.settings.namespace, stream.partitions) == before
    measured(code=refused.returncode)


@pytest.mark.kafka
@pytest.mark.fault(64, promise="what the log dropped is counted as lost; the rest is exact")
def test_records_that_the_log_dropped_while_no_worker_ran_are_counted(
    counting: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """Retention passed the position."""
    stream = counting
    first = caught_up(stream, worker, CHUNK)
    first.stop()
    lost = drop_and_forget(stream)
    worker(stream.settings)
    stream.catch_up()
    measured(lost=lost, **exact(stream))
    assert counted_lost(stream.settings) == lost


@pytest.mark.kafka
@pytest.mark.fault(64, promise="under a running worker too: counted as lost; the rest is exact")
def test_records_that_the_log_dropped_before_a_slow_worker_are_counted(
    counting: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """Retention overtakes it in mid-stream."""
    stream = counting
    supervisor = caught_up(stream, worker, CHUNK)
    with frozen(await_worker(supervisor, wait_until).pid):
        lost = drop_and_forget(stream)
    stream.send(CHUNK)
    stream.catch_up()
    measured(lost=lost, **exact(stream))
    assert counted_lost(stream.settings) == lost


@pytest.mark.fault(65, promise="refused with a sentence and code 2, instead of skipping events")
def test_a_position_behind_the_end_is_refused(
    stream: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """The topic was created anew: starting would skip events, so the worker says so and ends."""
    client = connect(stream.settings.redis_url)
    client.hset(f"{stream.settings.namespace}:{{u0}}:position", "next", 10**9)
    refused = worker(stream.settings)
    wait_until(lambda: not refused.running, 30, "the worker ends")
    assert "the topic was created anew" in refused.log_tail()
    measured(code=refused.process.returncode)
    assert refused.process.returncode == 2


def drop_and_forget(stream: Stream) -> int:
    """Send events, drop half of them from each partition's log; return how many were dropped."""
    before = [len(log) for log in stream.logs]
    stream.send(CHUNK)
    cuts = [(old + len(log)) // 2 for old, log in zip(before, stream.logs, strict=True)]
    topic = Topics(stream.settings.namespace).events
    admin = AdminClient({"bootstrap.servers": stream.settings.kafka_bootstrap})
    wanted = [TopicPartition(topic, number, cut) for number, cut in enumerate(cuts)]
    for future in admin.delete_records(wanted).values():
        future.result(10)
    for number, (first, cut) in enumerate(zip(before, cuts, strict=True)):
        stream.forget(number, first, cut)
    return sum(cuts) - sum(before)


def counted_lost(settings: Settings) -> int:
    """Return how many events a worker counts as lost."""
    port = settings.worker_metrics_port
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found = re.search(r'^freshet_events_lost_total{fold="users"} (\S+)$', metrics, re.MULTILINE)
    return int(float(found[1])) if found else 0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
