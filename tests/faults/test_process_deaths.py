"""Workers are killed, stopped, frozen and full of bugs: every count stays exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from freshet.commands.processes import VERB
from freshet.core.settings import Settings, environment_of
from freshet.embedded.child import Child

from .altered_worker import start_buggy_worker
from .conftest import Measured, OpenStream, Running
from .plugs import START_S, RedisUnderTest, await_worker, frozen, server_of
from .proxy import Proxy
from .stream import Stream, WaitUntil

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

KILLS, CHUNK = 3, 3_000
BACK_S = 15.0
SCRIPT_BYTES = 4_000  # more than a read asks for

Start = Callable[[Settings], Child]


@contextmanager
def named_worker(settings: Settings, log: Path) -> Iterator[Child]:
    """A worker that its group knows by name, so that the next of that name need not wait."""
    command = [*VERB, "worker", "--instance-id", "only-worker"]
    child = Child("named worker", command, log=log, environment=environment_of(settings))
    try:
        yield child
    finally:
        child.stop()


@pytest.mark.kafka
@pytest.mark.fault(1, promise="nothing lost, nothing counted twice; back within 15 s")
def test_kill_9_in_mid_stream_loses_and_doubles_nothing(
    kafka_stream: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """Of two workers in turn, while events keep coming; the supervisors bring them back."""
    stream = kafka_stream
    supervisors = [worker(stream.settings), worker(stream.settings)]
    recovery_s = [
        kill_in_mid_stream(stream, supervisors[number % 2], wait_until) for number in range(KILLS)
    ]
    stream.check()
    measured(recovery_s=max(recovery_s), counted=stream.applied(), sent=stream.sent)
    assert max(recovery_s) <= BACK_S


@pytest.mark.fault(1, promise="nothing lost, nothing counted twice")
def test_kill_9_loses_nothing_on_the_embedded_broker_either(
    stream: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """It takes longer: this broker waits for the dead one's session to end."""
    recovery_s = kill_in_mid_stream(stream, worker(stream.settings), wait_until)
    stream.check()
    measured(recovery_s=recovery_s, counted=stream.applied(), sent=stream.sent)


def kill_in_mid_stream(stream: Stream, supervisor: Child, wait_until: WaitUntil) -> float:
    """Kill -9 what a supervisor runs while it works; return how long all took to catch up, s."""
    before = stream.applied()
    stream.send(CHUNK)
    stream.under_way(before)
    await_worker(supervisor, wait_until).kill()
    return stream.catch_up()


@pytest.mark.kafka
@pytest.mark.fault(2, promise="nothing lost, nothing counted twice; caught up within 30 s")
def test_killing_all_workers_at_once_is_as_good(
    kafka_stream: Stream, worker: Start, wait_until: WaitUntil, measured: Measured
) -> None:
    """Nobody is left who could take over; the supervisors bring them back."""
    stream = kafka_stream
    supervisors = [worker(stream.settings), worker(stream.settings)]
    stream.send(CHUNK)
    stream.under_way(0)
    for process in [await_worker(each, wait_until) for each in supervisors]:
        process.kill()
    stream.send(CHUNK)
    recovery_s = stream.catch_up()
    stream.check()
    measured(recovery_s=recovery_s, counted=stream.applied(), sent=stream.sent)
    assert recovery_s <= 30


@pytest.mark.kafka
@pytest.mark.fault(3, promise="ends with code 0 in time; nothing lost, nothing counted twice")
def test_sigterm_ends_the_worker_in_time(
    kafka_stream: Stream, tmp_path: Path, measured: Measured
) -> None:
    """Asked to stop while it works, it stops with code 0; under its name the next one goes on."""
    stream = kafka_stream
    with named_worker(stream.settings, tmp_path / "first.log") as first:
        stream.send(CHUNK)
        stream.under_way(0)
        started = time.monotonic()
        code = first.stop(stream.settings.shutdown_s + 5)
        stopped_s = time.monotonic() - started
    with named_worker(stream.settings, tmp_path / "second.log"):
        stream.catch_up()
    stream.check()
    measured(stopped_s=stopped_s, code=code, counted=stream.applied(), sent=stream.sent)
    assert code == 0
    assert stopped_s <= stream.settings.shutdown_s + 2


@pytest.mark.kafka
@pytest.mark.fault(4, promise="ends within shutdown_s and 2 s, with code 0 or 75")
def test_sigterm_ends_a_worker_whose_redis_hangs(
    kafka_settings: Settings,
    streaming: OpenStream,
    redis_server: RedisUnderTest,
    worker: Start,
    tmp_path: Path,
    measured: Measured,
) -> None:
    """It does not wait for an answer that will not come, and what it had under way is not lost."""
    settings = msgspec.structs.replace(kafka_settings, shutdown_s=3.0)
    stream = streaming(settings)
    alone = Child(
        "worker alone",
        [*VERB, "worker", "--alone"],
        log=tmp_path / "alone.log",
        environment=environment_of(settings),
    )
    try:
        stream.send(200)
        stream.catch_up()
        with frozen(server_of(redis_server, settings, "user-1").child.pid):
            stream.send(200)
            started = time.monotonic()
            code = alone.stop(settings.shutdown_s + 10)
            stopped_s = time.monotonic() - started
    finally:
        alone.kill()
    worker(settings)
    stream.catch_up()
    stream.check()
    measured(stopped_s=stopped_s, code=code, counted=stream.applied(), sent=stream.sent)
    assert code in (0, 75)
    assert stopped_s <= settings.shutdown_s + 2


@pytest.mark.kafka
@pytest.mark.fault(5, promise="another takes over; what the frozen one had sent is refused")
def test_a_worker_that_wakes_when_its_partitions_are_gone_writes_nothing(
    kafka_stream: Stream,
    redis_server: RedisUnderTest,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """Frozen in the middle of a write, which reaches Redis when another has gone on for long."""
    stream = kafka_stream
    with closing(Proxy(redis_server.url)) as proxy:
        settings = msgspec.structs.replace(stream.settings, redis_url=proxy.url)
        zombie = await_worker(worker(settings), wait_until)
        stream.send(CHUNK)
        stream.catch_up()
        proxy.cut()
        stream.send(CHUNK)
        wait_until(lambda: proxy.held_bytes > SCRIPT_BYTES, what="a script is on its way")
        with frozen(zombie.pid):
            worker(stream.settings)
            taken_over_s = stream.catch_up()
            proxy.mend()
            wait_until(lambda: proxy.held_bytes == 0, what="the script has arrived")
            stream.check()
        wait_until(lambda: not zombie.is_running(), START_S, "the zombie has ended")
        stream.send(CHUNK)
        stream.catch_up()
    stream.check()
    measured(taken_over_s=taken_over_s, counted=stream.applied(), sent=stream.sent)


@pytest.mark.kafka
@pytest.mark.fault(6, promise="the worker ends before anything is acknowledged, and comes back")
def test_a_bug_in_the_fold_costs_restarts_and_no_event(
    kafka_stream: Stream, wait_until: WaitUntil, tmp_path: Path, measured: Measured
) -> None:
    """The error names itself as a bug; what was under way is folded by the next life."""
    stream = kafka_stream
    budget = tmp_path / "bugs"
    buggy = start_buggy_worker(
        stream.settings, log=tmp_path / "buggy.log", budget=budget, bugs=KILLS
    )
    try:
        while int(budget.read_text()):
            before = stream.applied()
            stream.send(200)
            stream.under_way(before)
        recovery_s = stream.catch_up()
    finally:
        buggy.stop()
    stream.check()
    log = buggy.log.read_text()
    assert log.count("PlantedError") >= KILLS
    assert "a bug, please report it" in log
    measured(bugs=KILLS, recovery_s=recovery_s, counted=stream.applied(), sent=stream.sent)


def test_the_audit_notices_one_missing_event(running: Running) -> None:
    """The control: claim one event more than was sent, and the check fails."""
    stream = running.stream
    stream.send(500)
    stream.catch_up()
    stream.check()
    stream.users["user-1", "click"] += 1
    with pytest.raises(AssertionError):
        stream.check()
