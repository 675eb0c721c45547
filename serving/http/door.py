"""The door: every request passes it before the framework sees it, and every answer on its way out.

It finds the route, answers what needs none (OPTIONS, preflights, 404, 405), lets no foreign page
in, counts and times, and compresses. What it refuses has cost nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from freshet.core.errors import RequestError
from freshet.core.settings import Settings
from serving.http.caller import Caller, introduce
from serving.http.compression import MIN_BYTES, deflate, is_compressible, takes_gzip
from serving.http.origins import allowed_set, is_host_allowed, whose
from serving.http.paths import Found, Route, Routes, raw_path_of
from serving.http.problems import MEDIA_TYPE, problem_body, problem_headers
from serving.http.request_metrics import OTHER, count_request

PREFLIGHT_S: Final = 600
READS: Final = ("GET", "HEAD")
SOCKET: Final = "websocket"

log = logging.getLogger(__name__)

App = Callable[[Any, Any, Any], Any]
Headers = list[tuple[bytes, bytes]]


class Door:
    """Stands before an application.

    Args:
        app: the application.
        routes: that it has.
        settings: which origins and hosts are allowed.
    """

    def __init__(self, app: App, routes: Routes, settings: Settings) -> None:
        self._app = app
        self._routes = routes
        self._origins = allowed_set(settings.allowed_origins)
        self._hosts = settings.allowed_hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        headers = _headers(scope)
        page = whose(headers, self._origins)
        out = Outgoing(scope, headers, send, self._extra(headers, page))
        try:
            found = self._admitted(scope, headers, page, out)
        except RequestError as error:
            await out.refuse(error.status, error.detail)
            return
        if found is None:
            await out.answer(HTTPStatus.NO_CONTENT, b"")
            return
        scope = {**scope, "path": found.path}
        method = scope.get("method", "GET")
        introduce(scope, Caller(page, "origin" in headers, found.value, method))
        if method == "HEAD":
            scope["method"] = "GET"
        if scope["type"] == SOCKET:
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, out)
        except Exception:
            log.exception("%s %s failed", method, raw_path_of(scope))
            await out.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug of this server")

    def _admitted(
        self, scope: Any, headers: dict[str, str], page: str, out: Outgoing
    ) -> Found | None:
        """Return the route of a request, None when it asks only what there is.

        Raises:
            RequestError: it is not let in.
        """
        if not is_host_allowed(headers.get("host", ""), self._hosts):
            raise RequestError(
                "this server is not asked by that name; FRESHET_ALLOWED_HOSTS names its own",
                status=HTTPStatus.MISDIRECTED_REQUEST,
            )
        found = self._routes.find(raw_path_of(scope))
        is_socket = scope["type"] == SOCKET
        if found is None or is_socket > found.route.is_socket:
            raise RequestError("there is no such route", status=HTTPStatus.NOT_FOUND)
        route = found.route
        out.template = route.template
        method = scope.get("method", "GET")
        if method == "OPTIONS":
            self._describe(route, headers, page, out)
            return None
        if method not in route.methods:
            out.add("allow", route.allow)
            raise RequestError(
                f"this route takes {route.allow}", status=HTTPStatus.METHOD_NOT_ALLOWED
            )
        if page == "foreign" and (is_socket or method not in READS):
            raise _foreign(headers)
        if route.is_socket and not is_socket:
            out.add("upgrade", SOCKET)
            raise RequestError("this route is a WebSocket", status=HTTPStatus.UPGRADE_REQUIRED)
        return found

    def _describe(self, route: Route, headers: dict[str, str], page: str, out: Outgoing) -> None:
        """Say what a route takes, also to a browser that asks before a page may (CORS)."""
        out.add("allow", route.allow)
        if "access-control-request-method" not in headers:
            return
        if page == "foreign":
            raise _foreign(headers)
        out.add("access-control-allow-methods", ", ".join(route.methods))
        asked = headers.get("access-control-request-headers", "content-type")
        out.add("access-control-allow-headers", asked)
        out.add("access-control-max-age", str(PREFLIGHT_S))

    def _extra(self, headers: dict[str, str], page: str) -> Headers:
        """Return what every answer to this page carries."""
        extra = [(b"vary", b"Origin")] if self._origins else []
        if page == "allowed":
            origin = headers["origin"].encode("latin-1")
            extra += [
                (b"access-control-allow-origin", origin),
                # Beacons are sent with credentials, though nothing here looks at a cookie.
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", b"Retry-After, Allow"),
            ]
        return extra


class Outgoing:
    """What is sent in answer to one request.

    Attributes:
        template: of the route, once it is known.
    """

    def __init__(self, scope: Any, headers: dict[str, str], send: Any, extra: Headers) -> None:
        self.template = OTHER
        self._scope = scope
        self._send = send
        self._extra = extra
        self._started_s = perf_counter()
        self._head = scope.get("method") == "HEAD"
        self._gzip = takes_gzip(headers.get("accept-encoding", ""))
        self._start: Any = None
        self._begun = False

    def add(self, name: str, value: str) -> None:
        """Add a header."""
        self._extra.append((name.encode(), value.encode("latin-1", "replace")))

    async def __call__(self, message: Any) -> None:
        """Send a message of the application."""
        if message["type"] == "http.response.start":
            seconds = perf_counter() - self._started_s
            count_request(self.template, self._scope["method"], message["status"], seconds)
            self._start = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            start, self._start, self._begun = self._start, None, True
            body = await self._begin(start, body, whole=not more)
        await self._send({**message, "body": b"" if self._head else body})

    async def refuse(self, status: int, detail: str) -> None:
        """Answer with an error, unless an answer has begun."""
        if self._begun:
            return
        for name, value in problem_headers(status).items():
            self.add(name.lower(), value)
        self.add("content-type", MEDIA_TYPE)
        await self.answer(status, problem_body(raw_path_of(self._scope), status, detail))

    async def answer(self, status: int, body: bytes) -> None:
        """Send an answer that needs no route."""
        if self._scope["type"] == SOCKET:
            await self._answer_socket(status, body)
            return
        headers = [(b"content-length", str(len(body)).encode())] if body else []
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    async def _answer_socket(self, status: int, body: bytes) -> None:
        """Refuse a handshake, with a body where the server can send one."""
        count_request(self.template, "GET", status, perf_counter() - self._started_s)
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        kind = "websocket.http.response"
        headers = [*self._extra, (b"content-length", str(len(body)).encode())]
        await self._send({"type": f"{kind}.start", "status": status, "headers": headers})
        await self._send({"type": f"{kind}.body", "body": body})

    async def _begin(self, start: Any, body: bytes, *, whole: bool) -> bytes:
        """Send the head of an answer, and return its body as it leaves."""
        headers = [*start.get("headers", []), *self._extra]
        if whole and len(body) >= MIN_BYTES and _is_compressible(headers):
            headers.append((b"vary", b"Accept-Encoding"))
            if self._gzip:
                body = deflate(body)
                headers = [each for each in headers if each[0].lower() != b"content-length"]
                length = str(len(body)).encode()
                headers += [(b"content-encoding", b"gzip"), (b"content-length", length)]
        await self._send({**start, "headers": headers})
        return body


def _headers(scope: Any) -> dict[str, str]:
    """Return the headers of a request; those that come twice are joined, as RFC 9110 has it."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _is_compressible(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    named = {name.lower(): value for name, value in headers}
    if b"content-encoding" in named:
        return False
    return is_compressible(named.get(b"content-type", b"").decode("latin-1"))


def _foreign(headers: dict[str, str]) -> RequestError:
    origin = headers.get("origin", "another site")
    return RequestError(
        f"a page of {origin} may not do that here; FRESHET_ALLOWED_ORIGINS names those that may. "
        "Behind a proxy, it must pass on Host, or set X-Forwarded-Host",
        status=HTTPStatus.FORBIDDEN,
    )
