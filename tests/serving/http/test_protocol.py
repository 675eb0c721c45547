"""Connections with limits, over real sockets: slow clients go, patient ones stay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import uvicorn
import websockets

from freshet.core.address import http_url, listening_socket
from serving.http.app import create_app
from serving.http.protocol import MAX_HEAD_BYTES, ConnectionLimits, bounded_protocol

SHORT_S = 0.05
LONG_S = 60.0
HEAD = b"POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def serving(services: Any, limits: ConnectionLimits, host: str = "127.0.0.1") -> Any:
    """A real server; yields its URL and how to open a connection to it."""
    config = uvicorn.Config(
        create_app(services),
        http=bounded_protocol(limits),
        ws="websockets-sansio",
        log_config=None,
        lifespan="off",
    )
    listener = listening_socket(host, 0)
    port = listener.getsockname()[1]
    server = uvicorn.Server(config)
    server.capture_signals = _nothing  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    url = http_url(host, port)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/livez")).status_code == 200

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, port)

    try:
        yield url, connect
    finally:
        server.should_exit = True
        await running


class _nothing:  # noqa: N801
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
async def hasty(services: Any) -> AsyncIterator[Open]:
    """Connections to a server that waits for hardly anything."""
    async with serving(services, ConnectionLimits(SHORT_S, SHORT_S, SHORT_S)) as (_, connect):
        yield connect


@pytest.fixture
async def patient(services: Any) -> AsyncIterator[tuple[str, Open]]:
    """A server that waits longer than a test."""
    async with serving(services, ConnectionLimits(LONG_S, LONG_S, LONG_S)) as found:
        yield found


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the server closes."""
    async with asyncio.timeout(10):
        return await reader.read()


def check(raw: bytes, status: int) -> str:
    """Check a raw answer for its form; return its detail."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    problem = json.loads(body)
    assert problem["status"] == status
    return str(problem["detail"])


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"P", "head"),
        (HEAD, "head"),
        (HEAD + b"content-length: 50\r\n\r\n[", "body"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n[", "body"),
    ],
)
async def test_a_request_that_does_not_come_whole_is_answered_and_closed(
    hasty: Open, sent: bytes, what: str
) -> None:
    """408."""
    reader, writer = await hasty()
    writer.write(sent)
    assert what in check(await rest(reader), 408)


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_a_connection_that_asks_nothing_is_closed(hasty: Open, sent: bytes) -> None:
    """Without an answer to what was not asked."""
    reader, writer = await hasty()
    writer.write(sent)
    assert not await rest(reader) or sent


async def test_a_drip_of_bytes_does_not_hold_a_connection(services: Any) -> None:
    """The time is that of the whole head, not of a byte."""
    limits = ConnectionLimits(0.3, LONG_S, LONG_S)
    async with serving(services, limits) as (_, connect):
        reader, writer = await connect()
        answer = asyncio.create_task(rest(reader))
        drips = 0
        while not answer.done() and drips < 1_000:
            writer.write(b"GET /livez HTTP/1.1\r\nx: "[drips : drips + 1] or b"y")
            drips += 1
            await asyncio.wait({answer}, timeout=0.02)
        with suppress(ConnectionError):  # a byte that comes behind the end may cost the answer
            check(await answer, 408)
        assert drips < 1_000


async def test_a_late_request_on_a_kept_connection_is_bounded_too(hasty: Open) -> None:
    """The first is answered, the second never becomes whole."""
    reader, writer = await hasty()
    writer.write(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET /liv")
    assert b"HTTP/1.1 408 " in await rest(reader)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES, 431),
        (b"GET /livez HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * 12_000 + b"\r\n", 431),
        (b"GET /v1/trending?" + b"y" * 2 * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /livez\x00 HTTP/1.1\r\n\r\n", 400),
        (b"no HTTP at all\r\n\r\n", 400),
    ],
)
async def test_a_head_is_bounded(patient: tuple[str, Open], sent: bytes, status: int) -> None:
    """At once, and as problem+json."""
    reader, writer = await patient[1]()
    writer.write(sent)
    check(await rest(reader), status)


async def ask_on_and_on(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
        await writer.drain()


async def test_a_client_that_takes_nothing_is_let_go(services: Any) -> None:
    """What is sent does not wait for it for ever."""
    limits = ConnectionLimits(LONG_S, LONG_S, SHORT_S)
    async with serving(services, limits) as (_, connect):
        _, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_on_and_on(writer), 30)


async def test_a_socket_outlives_the_limits_of_requests(services: Any) -> None:
    """It was handed over."""
    limits = ConnectionLimits(SHORT_S, SHORT_S, SHORT_S)
    async with serving(services, limits) as (url, _):
        address = url.replace("http", "ws") + "/v1/feed"
        async with websockets.connect(address) as socket:
            await socket.send('{"user": "ann"}')
            assert json.loads(await socket.recv())["seq"] == 0
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 6 * SHORT_S)
            await (await socket.ping())


async def test_a_foreign_page_is_refused_its_handshake(patient: tuple[str, Open]) -> None:
    """403 and a problem, before any list is made."""
    address = patient[0].replace("http", "ws") + "/v1/feed"
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(address, origin="https://evil.example")  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403
    assert b"FRESHET_ALLOWED_ORIGINS" in (caught.value.response.body or b"")


async def test_requests_in_one_packet_are_answered_in_turn(patient: tuple[str, Open]) -> None:
    """Pipelining."""
    reader, writer = await patient[1]()
    writer.write(3 * b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
    for _ in range(3):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


async def test_an_ipv6_address_is_served(services: Any) -> None:
    """With the URL that names it."""
    limits = ConnectionLimits(LONG_S, LONG_S, LONG_S)
    async with serving(services, limits, "::1") as (url, _), httpx.AsyncClient() as client:
        assert url.startswith("http://[::1]:")
        sent = await client.post(
            f"{url}/v1/events",
            json={"type": "click", "user_id": "ann", "item_id": "a"},
            headers={"origin": url},
        )
        assert sent.status_code == 202


@pytest.mark.parametrize(
    "piece", [b"x-trailer: " + b"a" * 8_000 + b"\r\n", b"1;" + b"e" * 8_000 + b"\r\na\r\n"]
)
async def test_what_follows_a_head_is_bounded(
    patient: tuple[str, Open], piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trailers and extensions of chunks are nobody's body, and would be kept without end."""
    monkeypatch.setattr("serving.http.protocol.MAX_SENT_BYTES", 100_000)
    _, connect = patient
    reader, writer = await connect()
    start = b"0\r\n" if piece.startswith(b"x-") else b""
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n" + start)
    with suppress(OSError):
        for _ in range(50):
            writer.write(piece)
            await writer.drain()
    answer = b""
    with suppress(ConnectionResetError):  # what we sent and the server did not read resets it
        answer = await rest(reader)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    writer.close()


async def test_a_trailer_is_no_header(patient: tuple[str, Open]) -> None:
    """The request is answered as if it were not there."""
    _, connect = patient
    reader, writer = await connect()
    body = b"5\r\n{}   \r\n0\r\nx-trailer: a\r\n\r\n"
    writer.write(HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + body)
    assert (await rest(reader)).startswith(b"HTTP/1.1 400")
    writer.close()
