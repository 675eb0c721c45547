"""What is answered before the server knows enough to serve: that it lives, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from serving.http.paths import raw_path_of
from serving.http.problems import MEDIA_TYPE, problem_body, problem_headers

_MISSING: Final = "neither Kafka nor Redis answers yet; the server goes on by itself when one does"
_CLOSED_SERVICE_RESTART: Final = 1012

App = Callable[[Any, Any, Any], Any]


class Entrance:
    """The application as uvicorn sees it: `app` once it is set, and before that a word of why not.

    Attributes:
        app: takes every request once it is there.
    """

    def __init__(self) -> None:
        self.app: App | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or hand it on."""
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _CLOSED_SERVICE_RESTART})
        else:
            await _answer(raw_path_of(scope), send)


async def _answer(path: str, send: Any) -> None:
    status, kind = HTTPStatus.OK, "application/json"
    if path == "/livez":
        missing = ["kafka", "redis"]
        body = msgspec.json.encode(
            {"status": "starting", "items": 0, "model_version": "none", "missing": missing}
        )
    elif path == "/metrics":
        body, kind = generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    else:
        status, kind = HTTPStatus.SERVICE_UNAVAILABLE, MEDIA_TYPE
        body = problem_body(path, status, _MISSING)
    headers = {"content-type": kind, "content-length": str(len(body)), **problem_headers(status)}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
