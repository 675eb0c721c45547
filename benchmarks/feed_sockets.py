"""Thousands of feeds in one process: as little as a client of `WS /v1/feed` can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

OPENING_AT_ONCE: Final = 50
TEXT, CLOSE, PING = 0x1, 0x8, 0x9
_MASK: Final = b"\0\0\0\0"
_HANDSHAKE: Final = (
    "GET /v1/feed HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class _AsOf(Struct):
    applied: int


class _Answer(Struct):
    as_of: _AsOf | None
    degraded: list[str]


class _Message(Struct):
    answer: _Answer | None = None


_DECODER: Final = msgspec.json.Decoder(_Message)


class Feed(asyncio.Protocol):
    """One feed of one user, and how late it knew of each click.

    Args:
        host: of the server, with its port.
        user: whose feed.

    Attributes:
        snapshot: done when the first list is here.
        late_s: (clicks,) from when each click was sent to a list that rests on it.
    """

    def __init__(self, host: str, user: str) -> None:
        self.user = user
        self.snapshot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.late_s: list[float] = []
        self._host = host
        self._sent_s: list[float] = []  # of clicks that no list rests on yet
        self._clicks = 0
        self._degraded = False
        self._upgraded = False
        self._received = b""
        self._why = "without a word"
        self._transport: asyncio.Transport

    def clicked(self) -> None:
        """Note that a click of the user is sent now."""
        self._clicks += 1
        self._sent_s.append(time.perf_counter())

    @property
    def is_current(self) -> bool:
        """Whether the newest list rests on all clicks, and on the user's own state."""
        return not self._sent_s and not self._degraded

    def close(self) -> None:
        """Leave."""
        self._transport.abort()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_HANDSHAKE.format(host=self._host).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """End: whoever waits for the first list learns of it."""
        if not self.snapshot.done():
            self.snapshot.set_exception(
                ConnectionError(f"{self.user}: the feed was closed: {exc or self._why}")
            )

    def data_received(self, data: bytes) -> None:
        """Take whole frames."""
        self._received += data
        if not self._upgraded:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.connection_lost(ConnectionError(repr(head[:100])))
                return
            self._upgraded, self._received = True, rest
            self._send(TEXT, msgspec.json.encode({"user": self.user}))
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    # --- frames of RFC 6455, section 5.2 ---

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Return the opcode and payload of a whole frame, None when there is none yet."""
        received = self._received
        if len(received) < 2:
            return None
        size, start = received[1], 2
        for marker, width in ((126, 2), (127, 8)):
            if size == marker:
                size, start = int.from_bytes(received[2 : 2 + width], "big"), 2 + width
                break
        if len(received) < start + size:
            return None
        self._received = received[start + size :]
        return received[0] & 0xF, received[start : start + size]

    def _send(self, opcode: int, payload: bytes) -> None:
        assert len(payload) < 126
        self._transport.write(bytes([0x80 | opcode, 0x80 | len(payload)]) + _MASK + payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._why = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}"
        if opcode == PING:
            self._send(0xA, payload)
        if opcode != TEXT:
            return
        answer = _DECODER.decode(payload).answer
        applied = answer.as_of.applied if answer and answer.as_of else 0
        self._degraded = answer is None or "user_state" in answer.degraded
        waiting = max(self._clicks - applied, 0)
        now_s = time.perf_counter()
        seen = len(self._sent_s) - waiting
        if seen > 0:
            self.late_s.extend(now_s - sent_s for sent_s in self._sent_s[:seen])
            del self._sent_s[:seen]
        if not self.snapshot.done():
            self.snapshot.set_result(None)


async def open_feeds(url: str, users: Sequence[str]) -> list[Feed]:
    """Open a feed for each user, and wait until each has its first list."""
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or 80
    loop = asyncio.get_running_loop()
    feeds: list[Feed] = []
    for start in range(0, len(users), OPENING_AT_ONCE):
        some = [Feed(place.netloc, user) for user in users[start : start + OPENING_AT_ONCE]]
        for feed in some:
            await loop.create_connection(partial(_itself, feed), host, port)
        await asyncio.gather(*(feed.snapshot for feed in some))
        feeds += some
    return feeds


def _itself(feed: Feed) -> Feed:
    return feed
