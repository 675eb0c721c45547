"""Apache Kafka restarts, comes late, or never comes back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from freshet.commands.processes import Server
from freshet.core.settings import Settings
from freshet.embedded.kafka import KafkaBroker

from .conftest import Measured, OpenStream
from .plugs import RedisUnderTest, await_worker, worker_process
from .steps import Start, answered, caught_up, exact
from .stream import Stream, WaitUntil
from .visitor import visiting

pytestmark = [pytest.mark.services, pytest.mark.kafka, pytest.mark.timeout(240)]

CHUNK = 1_000
LOG_BYTES_A_MINUTE = 100_000

_numbers = itertools.count()


@pytest.fixture(scope="module")
def mortal_broker() -> Iterator[KafkaBroker]:
    """A broker that dies in these tests; the others share another one."""
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def mortal(
    mortal_broker: KafkaBroker, redis_server: RedisUnderTest, tmp_path: Path, streaming: OpenStream
) -> Iterator[Stream]:
    """A stream on the broker that dies, alive at first and at the end."""
    settings = Settings(
        namespace=f"mortal-{next(_numbers)}",
        kafka_bootstrap=mortal_broker.bootstrap,
        redis_url=redis_server.url,
        partitions=4,
        models_dir=str(tmp_path / "models"),
        http_port=0,
        heartbeat_s=0.0,
    )
    yield streaming(settings)
    if not mortal_broker.child.running:
        mortal_broker.start()


@pytest.mark.fault(11, promise="nothing lost, nothing counted twice; every request gets its list")
def test_a_broker_that_restarts_interrupts_and_loses_nothing(
    mortal: Stream,
    mortal_broker: KafkaBroker,
    worker: Start,
    server: Callable[[Settings], Server],
    measured: Measured,
) -> None:
    """Killed in mid-stream; the feed does not notice, the worker reads on when it is back."""
    mortal.offer("item-1", "item-2", "item-3")
    caught_up(mortal, worker, CHUNK)
    with visiting(server(mortal.settings).url, "user-1") as visits:
        mortal.send(CHUNK)
        mortal_broker.kill()
        mortal_broker.start()
        started = time.monotonic()
        mortal.send(CHUNK)
        mortal.catch_up()
        recovery_s = time.monotonic() - started
    measured(recovery_s=recovery_s, **exact(mortal), **answered(visits))


@pytest.mark.fault(12, promise="waits without flooding its log, and starts when the broker does")
def test_a_worker_that_starts_without_a_broker_waits_for_it(
    mortal: Stream,
    mortal_broker: KafkaBroker,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """The log was written before; the broker comes after the worker."""
    mortal.send(CHUNK)
    mortal_broker.kill()
    supervisor = worker(mortal.settings)
    await_worker(supervisor, wait_until)
    started = time.monotonic()
    mortal_broker.start()
    without_s = time.monotonic() - started
    lines = len(supervisor.log.read_text().splitlines())
    recovery_s = mortal.catch_up()
    measured(without_s=without_s, log_lines=lines, recovery_s=recovery_s)
    assert lines <= 5 * without_s


@pytest.mark.fault(13, promise="the worker ends by itself; its log stays under 100 KB a minute")
def test_a_broker_that_never_comes_back_ends_the_worker(
    mortal: Stream,
    mortal_broker: KafkaBroker,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """So that whoever watches the supervisor sees it; the state waits in Redis."""
    settings = msgspec.structs.replace(mortal.settings, broker_gone_s=5, stall_s=6)
    supervisor = worker(settings)
    mortal.send(CHUNK)
    mortal.catch_up()
    process = await_worker(supervisor, wait_until)
    said = supervisor.log.stat().st_size
    mortal_broker.kill()
    started = time.monotonic()
    wait_until(lambda: not process.is_running(), 40, "the worker ends")
    ended_s = time.monotonic() - started
    wait_until(lambda: worker_process(supervisor), 40, "its supervisor tries again")
    log_bytes = supervisor.log.stat().st_size - said
    minutes = (time.monotonic() - started) / 60
    assert mortal.found("users") == mortal.users
    measured(ended_s=ended_s, log_bytes_a_minute=log_bytes / minutes)
    assert log_bytes <= LOG_BYTES_A_MINUTE * max(minutes, 1)
