"""Redis dies, forgets, falls back, fills up, and cannot be reached: every count stays exact."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from freshet.commands.processes import Server
from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from freshet.core.state.client import connect

from .conftest import Measured, OpenStream
from .plugs import RedisUnderTest, await_worker, clients_of, server_of
from .proxy import Proxy
from .steps import Start, answered, caught_up, exact
from .stream import Stream, WaitUntil
from .visitor import visiting

pytestmark = [pytest.mark.services, pytest.mark.kafka, pytest.mark.timeout(180)]

CHUNK = 2_000
BACK_S = 10.0
CUT_S = 8.0


@pytest.fixture
def proxy(redis_server: RedisUnderTest) -> Iterator[Proxy]:
    """What stands between the worker and Redis."""
    proxy = Proxy(redis_server.url)
    yield proxy
    proxy.close()


@pytest.mark.fault(14, promise="nothing lost; back within 10 s; every request gets its list")
def test_a_redis_that_is_killed_comes_back_and_everything_goes_on(
    kafka_stream: Stream,
    redis_server: RedisUnderTest,
    worker: Start,
    server: Callable[[Settings], Server],
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """With the state that its append-only file holds."""
    stream = kafka_stream
    stream.offer("item-1", "item-2", "item-3")
    caught_up(stream, worker, CHUNK)
    struck = server_of(redis_server, stream.settings, "user-1")
    with visiting(server(stream.settings).url, "user-1") as visits:
        stream.send(CHUNK)
        struck.kill()
        seen = visits.codes.total()
        wait_until(lambda: visits.codes.total() > seen + 20, what="requests without Redis")
        struck.start()
        stream.send(CHUNK)
        recovery_s = stream.catch_up()
    measured(recovery_s=recovery_s, **exact(stream), **answered(visits))
    assert recovery_s <= BACK_S


@pytest.mark.fault(15, promise="what Redis forgot is read from the log again, and counted once")
def test_a_redis_that_fell_back_is_led_forward_again(
    kafka_stream: Stream,
    redis_server: RedisUnderTest,
    worker: Start,
    tmp_path: Path,
    measured: Measured,
) -> None:
    """A power cut, or a replica that lagged: state and position go back together."""
    stream = kafka_stream
    caught_up(stream, worker, CHUNK)
    older = tmp_path / "older"
    shutil.copytree(redis_server.folder, older)
    stream.send(CHUNK)
    stream.catch_up()
    redis_server.kill()
    shutil.rmtree(redis_server.folder)
    shutil.copytree(older, redis_server.folder)
    redis_server.start()
    forgotten = stream.sent - stream.applied()
    # Other people and items: what the worker remembers of the others would hide the loss.
    stream.put(as_others(stream.events(CHUNK)))
    recovery_s = stream.catch_up()
    measured(forgotten=forgotten, recovery_s=recovery_s, **exact(stream))
    assert forgotten == CHUNK


@pytest.mark.fault(16, promise="all state is made anew from the log, exactly")
def test_a_redis_that_lost_everything_is_filled_again(
    kafka_stream: Stream, worker: Start, measured: Measured
) -> None:
    """FLUSHALL under way: the worker finds the position gone, ends, and reads from the start."""
    stream = kafka_stream
    worker(stream.settings)
    stream.send(CHUNK)
    stream.under_way(0)
    with connect(stream.settings.redis_url) as client:
        client.flushall()
    stream.send(CHUNK)
    # Item deltas are emitted again for the old events; their rows count once, by source offset.
    recovery_s = stream.catch_up()
    measured(recovery_s=recovery_s, **exact(stream))


@pytest.mark.fault(19, promise="writes stop and reads go on; nothing lost when there is room again")
def test_a_full_redis_stops_the_worker_and_loses_nothing(
    kafka_stream: Stream,
    redis_server: RedisUnderTest,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """The worker ends at every write and comes back more and more slowly."""
    stream = kafka_stream
    supervisor = caught_up(stream, worker, CHUNK)
    counted = stream.found("users")
    limit_memory(redis_server, 1)
    stream.send(CHUNK)
    wait_until(lambda: supervisor.log.read_text().count("maxmemory") > 2, 60, "it ended thrice")
    assert stream.found("users") == counted
    limit_memory(redis_server, 0)
    recovery_s = stream.catch_up()
    measured(recovery_s=recovery_s, **exact(stream))


@pytest.mark.fault(22, promise="nothing lost, nothing counted twice; back within 15 s")
def test_a_cut_between_worker_and_redis_loses_nothing(
    kafka_settings: Settings,
    streaming: OpenStream,
    proxy: Proxy,
    worker: Start,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """Also where a script arrives long after the worker that sent it has ended."""
    stream = streaming(kafka_settings)
    supervisor = worker(msgspec.structs.replace(kafka_settings, redis_url=proxy.url))
    stream.send(CHUNK)
    stream.under_way(0)
    process = await_worker(supervisor, wait_until)
    proxy.cut()
    started = time.monotonic()
    stream.send(CHUNK)
    wait_until(lambda: not process.is_running(), 30, "the worker gives up")
    wait_until(lambda: time.monotonic() - started >= CUT_S, CUT_S + 5, "the cut is over")
    proxy.mend()
    recovery_s = stream.catch_up()
    measured(cut_s=CUT_S, recovery_s=recovery_s, **exact(stream))
    assert recovery_s <= 15


def limit_memory(redis_server: RedisUnderTest, max_bytes: int) -> None:
    """Let Redis hold so much, each node of it; 0 for no limit."""
    with clients_of(redis_server) as clients:
        for client in clients:
            client.config_set("maxmemory", max_bytes)


def as_others(events: Iterable[Event]) -> list[Event]:
    """Return the events as those of people and items that had none before."""
    return [
        msgspec.structs.replace(
            event, user_id=f"other-{event.user_id}", item_id=f"other-{event.item_id}"
        )
        for event in events
    ]
