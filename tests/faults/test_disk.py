"""No room on a disk: of Redis, and of the logs that processes write.

A limit on the size of files stands for a full disk: a write fails in both, and needs no root.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from freshet.core.events.codec import EMPTY
from freshet.embedded.redis import RedisServer
from freshet.embedded.redis_cluster import RedisCluster

from .conftest import Measured
from .plugs import RedisUnderTest
from .steps import Start, caught_up, exact
from .stream import Stream, WaitUntil

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

CHUNK = 2_000
LITTLE_BYTES = 65_536  # room that is left


@contextmanager
def files_no_larger_than(processes: Iterable[psutil.Process], size: int) -> Iterator[None]:
    """Let some processes write no file beyond a size, and any again in the end."""
    limited = list(processes)
    for process in limited:
        process.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for process in limited:
            process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def servers_of(server: RedisUnderTest) -> list[RedisServer]:
    return list(server.nodes) if isinstance(server, RedisCluster) else [server]  # type: ignore[arg-type]


@pytest.mark.kafka
@pytest.mark.fault(20, promise="writes stop and reads go on; nothing lost when there is room again")
def test_a_redis_without_disk_stops_the_worker_and_loses_nothing(
    kafka_stream: Stream,
    redis_server: RedisUnderTest,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """It refuses writes (MISCONF) from when its append-only file cannot grow any more."""
    stream = kafka_stream
    supervisor = caught_up(stream, worker, CHUNK)
    servers = servers_of(redis_server)
    written = max(
        file.stat().st_size for each in servers for file in each.folder.rglob("*") if file.is_file()
    )
    redis_processes = [psutil.Process(each.child.pid) for each in servers]
    with files_no_larger_than(redis_processes, written + LITTLE_BYTES):
        stream.send(2 * CHUNK)
        wait_until(lambda: "MISCONF" in supervisor.log.read_text(), 60, "Redis refuses writes")
        assert stream.found("users")  # reads go on
        assert stream.applied() < stream.sent
    recovery_s = stream.catch_up()
    measured(recovery_s=recovery_s, **exact(stream))


@pytest.mark.fault(21, promise="what cannot be logged is not; every event counts")
def test_a_worker_that_cannot_write_its_log_goes_on(
    stream: Stream, worker: Start, measured: Measured
) -> None:
    """A burst of dead letters is what it would log."""
    supervisor = caught_up(stream, worker, CHUNK)
    process = psutil.Process(supervisor.pid)
    family = [process, *process.children(recursive=True)]
    lives = {each.pid for each in family}
    logged = supervisor.log.stat().st_size
    with files_no_larger_than(family, logged):
        for number in range(200):
            stream.poison(None, number % stream.partitions, EMPTY)
        stream.send(CHUNK)
        stream.catch_up()
    assert supervisor.log.stat().st_size == logged
    assert {process.pid, *(each.pid for each in process.children(recursive=True))} == lives
    measured(dead_letters=200, **exact(stream))
