"""Counting and timing requests, labelled by the route's template, never by its path."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from freshet.core.metrics import HTTP_REQUEST_DURATION, HTTP_REQUESTS


def measure_requests(app: ASGIApp) -> ASGIApp:
    """Return the app with its requests counted and timed."""

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        started_s = perf_counter()
        route = _template(scope)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                HTTP_REQUESTS.labels(route, scope["method"], message["status"]).inc()
                HTTP_REQUEST_DURATION.labels(route).observe(perf_counter() - started_s)
            await send(message)

        await app(scope, receive, counted)

    return measured


def _template(scope: Any) -> str:
    handler = scope.get("route_handler")
    return min(handler.paths) if handler is not None and handler.paths else "other"
