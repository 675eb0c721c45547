"""A server is killed, its clients come back all at once, and the state behind it stands still."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from freshet.commands.processes import Server
from freshet.core.settings import Settings
from freshet.embedded.child import Child

from .conftest import Measured, Running
from .steps import answered
from .stream import Stream, WaitUntil
from .visitor import UNCOUNTED, visiting

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

OFFERED = tuple(f"item-{number}" for number in range(1, 11))
FEEDS = 200
BACK_S = 20.0  # the start of Python and of its libraries is most of it
LEADER = "item-7"
CLICKS = 400  # more than all that came before on any other item

StartServer = Callable[..., Server]


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


@pytest.mark.fault(7, promise="another server answers meanwhile; the killed one is back in 20 s")
def test_kill_9_of_a_server_leaves_its_clients_another_one(
    running: Running, server: StartServer, measured: Measured
) -> None:
    """Nothing is in it that is not in Redis and Kafka: it starts again as any other."""
    running.stream.offer(*OFFERED)
    settings = running.stream.settings
    first, second = server(settings), server(settings)
    with visiting(second.url, "user-1") as visits:
        first.child.kill()
        started = time.monotonic()
        again = server(msgspec.structs.replace(settings, http_port=port_of(first)))
        back_s = time.monotonic() - started
        assert again.url == first.url
        answer = httpx.get(f"{again.url}/v1/recommendations", params={"user": "user-1"} | UNCOUNTED)
    assert answer.status_code == 200
    assert answer.json()["items"]
    measured(back_s=back_s, **answered(visits))
    assert back_s <= BACK_S


@pytest.mark.fault(49, promise="every feed has its list again, and every request its own meanwhile")
def test_feeds_that_come_back_at_once_harm_nobody(
    running: Running, server: StartServer, measured: Measured
) -> None:
    """As when a server was killed: all of its clients open their sockets again at the same time."""
    stream = running.stream
    stream.offer(*OFFERED)
    first = server(stream.settings)
    asyncio.run(opened_and_left(first))
    first.child.kill()
    again = server(msgspec.structs.replace(stream.settings, http_port=port_of(first)))
    with visiting(again.url, "user-1") as visits:
        snapshots_s = asyncio.run(opened_and_left(again))
    measured(feeds=FEEDS, snapshots_s=snapshots_s, **answered(visits))
    assert snapshots_s <= BACK_S


async def opened_and_left(server: Server) -> float:
    """Open all feeds at once; return how long it took until each had a list, s."""
    address = server.url.replace("http", "ws", 1) + "/v1/feed"

    async def first_list(number: int) -> ClientConnection:
        socket = await connect(address, open_timeout=BACK_S)
        await socket.send(json.dumps({"user": f"user-{number}", "k": 5}))
        message = json.loads(await asyncio.wait_for(socket.recv(), BACK_S))
        assert message["type"] == "snapshot"
        assert message["answer"]["items"]
        return socket

    started = time.monotonic()
    sockets = await asyncio.gather(*(first_list(number) for number in range(FEEDS)))
    taken_s = time.monotonic() - started
    await asyncio.gather(*(socket.close() for socket in sockets))
    return taken_s


@pytest.mark.fault(10, promise="lists go on; a new leader is in the trend 10 s after it is back")
def test_counters_that_stand_still_stop_no_list(
    stream: Stream,
    worker: Callable[[Settings], Child],
    server: StartServer,
    wait_until: WaitUntil,
    measured: Measured,
) -> None:
    """What counts items is a worker: while there is none, items are as they were."""
    counting = worker(stream.settings)
    stream.offer(*OFFERED)
    stream.send(200)
    stream.catch_up()
    url = server(stream.settings).url

    def leader() -> str:
        answer = httpx.get(f"{url}/v1/trending", params={"k": 1})
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["items"][0]["item_id"]
        return found

    counting.stop()
    with visiting(url, "user-1") as visits:
        events = stream.events(CLICKS, item=LEADER)
        stream.put(
            msgspec.structs.replace(event, type="click", user_id=f"fan-{event.event_id}")
            for event in events
        )
        assert leader() != LEADER
        worker(stream.settings)
        stream.catch_up()
        started = time.monotonic()
        wait_until(lambda: leader() == LEADER, 10, "the new leader is in the trend")
        shown_s = time.monotonic() - started
    stream.check()
    measured(shown_s=shown_s, **answered(visits))
