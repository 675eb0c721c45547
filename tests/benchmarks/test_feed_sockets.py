"""The feeds of a benchmark: what they take for a list that knows of a click."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from benchmarks.feed_sockets import CLOSE, PING, TEXT, Feed


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written.append(data)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame as a server sends it."""
    size = len(payload)
    head = bytes([size]) if size < 126 else bytes([126]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + head + payload


def pushed(applied: int, *degraded: str, kind: str = "update") -> bytes:
    """Return a message with a list, as long as lists are."""
    as_of: Any = {"applied": applied, "ts_ms": 1, "event": "e"} if applied else None
    answer = {"as_of": as_of, "degraded": degraded, "items": ["x" * 1_000]}
    return frame(TEXT, json.dumps({"type": kind, "seq": 0, "answer": answer}).encode())


async def test_a_click_is_seen_once_a_list_rests_on_it() -> None:
    """Whole frames, in whatever pieces they come; a list may know of several clicks."""
    feed, transport = Feed("host:1", "ann"), Transport()
    feed.connection_made(transport)  # type: ignore[arg-type]
    assert b"Host: host:1" in transport.written[0]
    stream = b"HTTP/1.1 101 Switching\r\n\r\n" + pushed(0, kind="snapshot")
    for start in range(0, len(stream), 100):
        feed.data_received(stream[start : start + 100])
    assert feed.snapshot.done()
    assert transport.written[1].endswith(b'{"user":"ann"}')
    assert feed.is_current
    for _ in range(3):
        feed.clicked()
    assert not feed.is_current
    feed.data_received(pushed(0) + pushed(2))
    assert (len(feed.late_s), feed.is_current) == (2, False)
    feed.data_received(pushed(3))
    assert (len(feed.late_s), feed.is_current) == (3, True)


async def test_a_list_that_rests_on_no_state_is_not_current() -> None:
    """Nor is none at all."""
    feed = Feed("host:1", "ann")
    feed.connection_made(Transport())  # type: ignore[arg-type]
    feed.data_received(b"HTTP/1.1 101 Switching\r\n\r\n" + pushed(1, "user_state"))
    assert not feed.is_current
    feed.data_received(pushed(1, "model"))
    assert feed.is_current
    feed.data_received(frame(TEXT, b'{"type":"empty","seq":2,"detail":"nothing"}'))
    assert not feed.is_current


async def test_a_ping_is_answered_and_a_closed_feed_fails_the_run() -> None:
    """The server would let it go; whoever waits for the first list learns why there is none."""
    feed, transport = Feed("host:1", "ann"), Transport()
    feed.connection_made(transport)  # type: ignore[arg-type]
    feed.data_received(b"HTTP/1.1 101 Switching\r\n\r\n" + frame(PING, b"abcd"))
    assert transport.written[-1] == b"\x8a\x84\0\0\0\0abcd"
    feed.data_received(frame(CLOSE, (1013).to_bytes(2, "big") + b"no catalogue"))
    feed.connection_lost(None)
    (error,) = await asyncio.gather(feed.snapshot, return_exceptions=True)
    assert isinstance(error, ConnectionError)
    assert "ann: the feed was closed: 1013 no catalogue" in str(error)
