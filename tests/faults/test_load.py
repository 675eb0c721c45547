"""Too much of one thing: one user, one item, bursts, and workers that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import pytest

from freshet.core.settings import Settings
from freshet.embedded.child import Child

from .conftest import Measured, OpenStream, Running
from .plugs import START_S, RedisUnderTest, await_worker, clients_of
from .stream import Stream, WaitUntil

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

CHUNK = 4_000
BURST = 20_000
JOINS = 2
MOST_SCRIPT_MS = 3.0
MOST_SCRIPTS = 10_000

Start = Callable[[Settings], Child]


@contextmanager
def script_times(server: RedisUnderTest) -> Iterator[dict[str, float]]:
    """Measure the scripts that Redis runs meanwhile: how many, `script_p99_ms`, the slowest."""
    times: dict[str, float] = {}
    with clients_of(server) as clients:
        for client in clients:
            client.config_set("slowlog-max-len", MOST_SCRIPTS)
            client.config_set("slowlog-log-slower-than", 0)
            client.slowlog_reset()
        yield times
        logged = [each for client in clients for each in client.slowlog_get(MOST_SCRIPTS)]
    taken_us = [each["duration"] for each in logged if b"EVALSHA" in each["command"]]
    times["scripts"] = len(taken_us)
    times["script_p99_ms"] = float(np.percentile(taken_us, 99)) / 1000
    times["script_slowest_ms"] = max(taken_us) / 1000


@pytest.mark.alone
@pytest.mark.fault(44, promise="nothing lost, nothing counted twice")
def test_the_events_of_a_hot_user_all_count(running: Running, measured: Measured) -> None:
    """One in two events is his."""
    stream = running.stream
    anybody = stream.events(2 * CHUNK)
    his = [msgspec.structs.replace(event, user_id="user-hot") for event in anybody[::2]]
    stream.put([event for pair in zip(his, anybody[1::2], strict=True) for event in pair])
    recovery_s = stream.catch_up()
    stream.check()
    measured(events=2 * CHUNK, caught_up_s=recovery_s)


@pytest.mark.alone
@pytest.mark.fault(45, promise="a script holds Redis for 3 ms at most (p99)")
def test_a_hot_item_keeps_the_scripts_short(running: Running, measured: Measured) -> None:
    """All events are about one item."""
    stream = running.stream
    with script_times(running.redis) as times:
        stream.send(CHUNK, item="item-hot")
        recovery_s = stream.catch_up()
    stream.check()
    measured(events=CHUNK, caught_up_s=recovery_s, **times)
    # A single call may also count the time in which another process had the processor.
    assert times["script_p99_ms"] <= MOST_SCRIPT_MS


@pytest.mark.alone
@pytest.mark.fault(58, promise="the lag grows and drains; nothing lost, nothing counted twice")
def test_a_burst_is_worked_off(running: Running, measured: Measured) -> None:
    """As many events at once as come in ten minutes otherwise."""
    stream = running.stream
    with script_times(running.redis) as times:
        stream.send(BURST)
        lag = stream.sent - stream.applied()
        recovery_s = stream.catch_up()
    stream.check()
    measured(burst=BURST, lag_after_it=lag, caught_up_s=recovery_s, **times)
    assert times["script_p99_ms"] <= MOST_SCRIPT_MS


@pytest.mark.kafka
@pytest.mark.fault(59, promise="nothing lost, nothing counted twice; always some progress")
def test_workers_that_join_and_leave_all_the_time_stop_nothing(
    kafka_stream: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """Each joining and each leaving is a rebalance of everybody; every other guest is killed."""
    stream = kafka_stream
    worker(stream.settings)
    quiet_s = []
    for number in range(JOINS):
        guest = worker(stream.settings)
        wait_until(lambda guest=guest: "start from" in guest.log.read_text(), START_S, "it joined")
        quiet_s.append(progress_s(stream))
        if number % 2:
            guest.stop()
        else:
            await_worker(guest, wait_until).kill()
            guest.kill()
        quiet_s.append(progress_s(stream))
    recovery_s = stream.catch_up()
    stream.check()
    measured(
        rebalances=2 * JOINS,
        longest_without_progress_s=max(quiet_s),
        recovery_s=recovery_s,
        counted=stream.applied(),
        sent=stream.sent,
    )
    assert max(quiet_s) <= 20


def progress_s(stream: Stream) -> float:
    """Send some events; return how long it takes until some are applied, s."""
    before, started = stream.applied(), time.monotonic()
    stream.send(500)
    stream.under_way(before)
    return time.monotonic() - started


@pytest.mark.kafka
@pytest.mark.fault(60, promise="one without a partition waits, and takes over when it is needed")
def test_a_worker_without_a_partition_stands_by(
    kafka_settings: Settings,
    streaming: OpenStream,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """Two workers, one partition; the one that works dies with its supervisor."""
    stream = streaming(msgspec.structs.replace(kafka_settings, partitions=1))
    assert stream.partitions == 1
    busy = worker(stream.settings)
    stream.send(500)
    stream.catch_up()
    idle = worker(stream.settings)
    wait_until(lambda: "runs, 1 partitions" in idle.log.read_text(), START_S, "the other joined")
    stream.send(500)
    stream.catch_up()
    assert await_worker(idle, wait_until).is_running()
    await_worker(busy, wait_until).kill()
    busy.kill()
    stream.send(500)
    taken_over_s = stream.catch_up()
    stream.check()
    measured(taken_over_s=taken_over_s, counted=stream.applied(), sent=stream.sent)
