"""HTTP connections that cannot be held open for nothing: uvicorn's protocol with limits.

Law: a connection waits for its client for a bounded time, whatever the client does: until the head
of a request is whole, until its body is, and until the client takes what is sent to it. A head has
a bounded size, and so has what follows it: chunks and trailers count, whatever they hold. Between
requests uvicorn's own keep-alive timeout rules, and a WebSocket is handed over.

A timer is only set when a packet did not bring the request whole, which is rare.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.http.bodies import MAX_BODY_BYTES
from serving.http.problems import MEDIA_TYPE, problem_body

MAX_HEAD_BYTES: Final = 32_768  # address and headers together
MAX_SENT_BYTES: Final = 8 * MAX_BODY_BYTES
"""Of a request behind its head: a body of the largest size in small chunks. Trailers and extensions
of chunks are never used, but the parser takes them."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long a client may take.

    Attributes:
        head_s: from the connection, or the first byte of a request, to the end of its headers.
        body_s: from there to the end of its body.
        take_s: until it takes what is sent, once it has stopped to.
    """

    head_s: float
    body_s: float
    take_s: float


class _RefusedError(Exception):
    """Ends the parsing of a head."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection; `bounded_protocol` makes the class that has limits."""

    limits: ConnectionLimits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self._timer: asyncio.TimerHandle | None = None
        self._take_timer: asyncio.TimerHandle | None = None
        self._in_head = self._in_body = self._handed_over = False
        self._head_bytes = self._sent_bytes = 0
        self._refusal = HTTPStatus.BAD_REQUEST

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._in_head = True
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        self._stop_take_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and wait for the rest when a request is not whole."""
        waited_for = (self._in_head, self._in_body)
        super().data_received(data)
        if self._handed_over:
            return
        if self.transport.is_closing():
            self._stop()
            return
        if not self._in_body and (self.cycle is None or self.cycle.response_complete):
            self._in_head = True  # also while nothing but empty lines comes
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
                return
        elif self._in_body:
            self._sent_bytes += len(data)
            if self._sent_bytes > MAX_SENT_BYTES:
                self._refuse_body()
                return
        if waited_for != (self._in_head, self._in_body):
            self._stop()
        if (self._in_head or self._in_body) and self._timer is None:
            self._wait()

    def pause_writing(self) -> None:
        """Give the client so long to take what was sent."""
        super().pause_writing()
        self._take_timer = self.loop.call_later(self.limits.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes again."""
        super().resume_writing()
        self._stop_take_timer()

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """The head is whole."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refusal = self._too_large()
            raise _RefusedError
        self._in_head, self._in_body, self._sent_bytes = False, True, 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind a body (a trailer) is nothing to us."""
        if not self._in_body:
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._stop()
        self._stop_take_timer()
        self._handed_over = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, as problem+json."""
        detail = "the address and headers are larger than this server reads"
        refused = self._refusal is not HTTPStatus.BAD_REQUEST
        self._answer(self._refusal, f"{detail} ({MAX_HEAD_BYTES} bytes)" if refused else msg)

    # --- limits ---

    def _wait(self) -> None:
        limit_s = self.limits.head_s if self._in_head else self.limits.body_s
        self._timer = self.loop.call_later(limit_s, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self.flow.read_paused:  # we do not read: an earlier request is still being answered
            self._wait()
            return
        what = "head" if self._in_head else "body"
        limit_s = self.limits.head_s if self._in_head else self.limits.body_s
        begun = self._head_bytes > 0 or self._in_body
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._in_body:
            answering = self.cycle.response_started
            self.cycle.disconnected = True  # whoever waits for the body waits no longer
            self.cycle.message_event.set()
        if begun and not answering:
            self._answer(
                HTTPStatus.REQUEST_TIMEOUT, f"the {what} did not arrive within {limit_s:g} s"
            )
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        self._refusal = self._too_large()
        self._stop()
        self.send_400_response("")

    def _refuse_body(self) -> None:
        self._stop()
        if self.cycle is None or self.cycle.response_started:
            self.transport.close()
            return
        self.cycle.disconnected = True  # whoever waits for the body waits no longer
        self.cycle.message_event.set()
        self._answer(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request has more than {MAX_SENT_BYTES} bytes"
        )

    def _too_large(self) -> HTTPStatus:
        is_address = len(self.url) > MAX_HEAD_BYTES // 2
        return (
            HTTPStatus.REQUEST_URI_TOO_LONG
            if is_address
            else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        )

    def _answer(self, status: HTTPStatus, detail: str) -> None:
        """Answer from here, without the application, and close."""
        path = self.url.partition(b"?")[0].decode("ascii", "backslashreplace")
        body = problem_body(path[:1_000], status, detail)
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n" + body)
        self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_take_timer(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None


def bounded_protocol(limits: ConnectionLimits) -> type[BoundedProtocol]:
    """Return a protocol with limits, as uvicorn takes it."""
    return type("LimitedProtocol", (BoundedProtocol,), {"limits": limits})
