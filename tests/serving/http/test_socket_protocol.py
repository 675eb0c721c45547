"""WebSocket connections with limits, over real sockets: who takes nothing is let go."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import websockets

from freshet.core.address import listening_socket
from serving.http import socket_protocol
from serving.http.app import create_app
from serving.http.socket_protocol import bounded_socket_protocol
from tests.serving.conftest import until

SHORT_S = 0.05
LONG_S = 60.0
UPGRADE = (
    b"GET /v1/feed HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)
MASK = b"\0\0\0\0"


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame of a client."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + MASK + payload


@asynccontextmanager
async def serving(
    services: Any, take_s: float, ping_s: float | None = None
) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """Run a real server; yield its port, and the server."""
    config = uvicorn.Config(
        create_app(services),
        ws=bounded_socket_protocol(take_s),
        ws_ping_interval=ping_s,
        ws_ping_timeout=ping_s,
        ws_per_message_deflate=False,
        log_config=None,
        lifespan="off",
    )
    listener = listening_socket("127.0.0.1", 0)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve([listener]))
    await until(lambda: server.started)
    try:
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = server.force_exit = True  # also when a connection is left
        await running


@pytest.fixture
def push(users: Any, state: Any) -> Callable[[], None]:
    """Return what changes the user, so that their feeds are pushed to."""

    def click() -> None:
        users.act("ann", "item-3")
        state.notices.notify(["ann"])

    return click


async def open_deaf(port: int) -> socket.socket:
    """Open a feed that never reads, with little room for what it is sent."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, UPGRADE)
    assert (await loop.sock_recv(client, 1_000)).startswith(b"HTTP/1.1 101 ")
    await loop.sock_sendall(client, frame(1, b'{"user":"ann","k":100}'))
    return client


def stuck(server: uvicorn.Server) -> bool:
    """Whether a connection has more waiting for its client than it should."""
    connections: list[Any] = list(server.server_state.connections)
    return any(not each.writable.is_set() for each in connections if hasattr(each, "writable"))


async def fill(server: uvicorn.Server, push: Callable[[], None]) -> None:
    """Push until the client has no more room."""
    async with asyncio.timeout(20):
        while not stuck(server):
            push()
            await asyncio.sleep(0.005)


async def send_on_and_on(client: socket.socket, data: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, data)


async def test_who_takes_nothing_is_let_go(
    services: Any, state: Any, push: Callable[[], None]
) -> None:
    """With the handler, and all that the feed holds."""
    async with serving(services, SHORT_S) as (port, server):
        client = await open_deaf(port)
        await until(lambda: "ann" in state.notices._waiting)
        await until(lambda: push() or "ann" not in state.notices._waiting)  # type: ignore[func-returns-value]
        await until(lambda: not server.server_state.connections)
        client.close()


async def test_who_answers_no_ping_is_let_go_whatever_waits_for_it(
    services: Any, state: Any, push: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close would wait for the client to take what was sent before."""
    monkeypatch.setattr(socket_protocol, "CLOSE_S", SHORT_S)
    async with serving(services, LONG_S, ping_s=1.0) as (port, server):
        client = await open_deaf(port)
        await until(lambda: "ann" in state.notices._waiting)
        await fill(server, push)
        await until(lambda: not server.server_state.connections)
        await until(lambda: "ann" not in state.notices._waiting)
        client.close()


async def test_a_refusal_that_nobody_takes_ends_too(
    services: Any, state: Any, push: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our close waits for the client's for a bounded time."""
    monkeypatch.setattr(socket_protocol, "CLOSE_S", SHORT_S)
    async with serving(services, LONG_S) as (port, server):
        client = await open_deaf(port)
        await until(lambda: "ann" in state.notices._waiting)
        await asyncio.get_running_loop().sock_sendall(client, frame(1, b"a second message"))
        await until(lambda: not server.server_state.connections)
        client.close()


async def test_pings_without_reading_fill_no_memory(services: Any, state: Any) -> None:
    """The pongs wait in a bounded buffer, and the connection ends."""
    async with serving(services, SHORT_S) as (port, _):
        client = await open_deaf(port)
        await until(lambda: "ann" in state.notices._waiting)
        pings = frame(9, b"x" * 100) * 100
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_on_and_on(client, pings), 20)
        client.close()


async def test_a_slow_client_that_takes_stays(
    services: Any, state: Any, push: Callable[[], None]
) -> None:
    """It reads late, but it does; then it is sent what is new, and may speak."""
    async with serving(services, LONG_S) as (port, server):
        url = f"ws://127.0.0.1:{port}/v1/feed"
        async with websockets.connect(url, max_queue=1) as client:
            await client.send(json.dumps({"user": "ann", "k": 100}))
            assert json.loads(await client.recv())["seq"] == 0
            client.transport.pause_reading()
            await fill(server, push)
            client.transport.resume_reading()
            await until(lambda: not stuck(server))
            push()
            applied = 0
            while applied < int(services.state.users.records["ann"]["type_counts"].sum()):
                applied = json.loads(await client.recv())["answer"]["as_of"]["applied"]
            await (await client.ping())
