"""WebSocket connections that end: uvicorn's protocol with limits.

Law: a connection whose client takes nothing is aborted, not closed: asyncio closes a transport once
its buffer is empty, which is never. What waits for a client has a bounded size, in this process and
in the kernel; while it waits, nothing more is read, so that answers to pings cannot pile up.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_BUFFER_BYTES: Final = 32_768  # of this process; a list of 20 items has some 6 kB
KERNEL_BUFFER_BYTES: Final = 131_072
CLOSE_S: Final = 10.0  # from our close to the client's


class BoundedSocketProtocol(WebSocketsSansIOProtocol):
    """One connection; `bounded_socket_protocol` makes the class that has limits."""

    take_s: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what may wait for the client."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=MAX_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        for timer in (self._take_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client so long to take what was sent, and read nothing meanwhile."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self._take_timer = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes again."""
        super().resume_writing()
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """Close a connection that answers no ping, and do not wait for it to take that."""
        super().keepalive_timeout()
        self._end_within(CLOSE_S)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Nothing more will be sent: the connection ends, whether or not the client takes it."""
        super().on_task_complete(task)
        self._end_within(CLOSE_S)

    def _end_within(self, seconds: float) -> None:
        if self._end_timer is None and not self.disconnected:
            self._end_timer = self.loop.call_later(seconds, self.transport.abort)


def bounded_socket_protocol(take_s: float) -> type[BoundedSocketProtocol]:
    """Return a protocol with limits, as uvicorn takes it.

    Args:
        take_s: how long a client may take nothing of what is sent.
    """
    return type("LimitedSocketProtocol", (BoundedSocketProtocol,), {"take_s": take_s})
