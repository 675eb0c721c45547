"""Before the server knows enough: it lives, it is not ready, and it says why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from serving.http.not_started import Entrance


async def ask(entrance: Entrance, path: str, kind: str = "http") -> list[dict[str, Any]]:
    """Return what is sent in answer to a request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await entrance({"type": kind, "path": path, "raw_path": path.encode()}, None, send)
    return sent


@pytest.mark.parametrize("path", ["/readyz", "/v1/recommendations", "/v1/events", "/"])
async def test_it_is_not_ready_and_says_when_to_come_again(path: str) -> None:
    """503 as problem+json."""
    start, body = await ask(Entrance(), path)
    headers = dict(start["headers"])
    assert start["status"] == 503
    assert headers[b"retry-after"] == b"1"
    assert headers[b"content-type"] == b"application/problem+json"
    assert "neither Kafka nor Redis answers" in msgspec.json.decode(body["body"])["detail"]


async def test_it_lives_and_is_measured() -> None:
    """An orchestrator must not kill it for its neighbours."""
    start, body = await ask(Entrance(), "/livez")
    assert start["status"] == 200
    assert msgspec.json.decode(body["body"])["missing"] == ["kafka", "redis"]
    start, body = await ask(Entrance(), "/metrics")
    assert b"freshet_http_requests_total" in body["body"]


async def test_a_socket_is_closed_as_at_a_restart() -> None:
    """Its client tries again."""
    [message] = await ask(Entrance(), "/v1/feed", "websocket")
    assert message == {"type": "websocket.close", "code": 1012}


async def test_the_application_takes_over() -> None:
    """Every request, once it is there."""
    entrance, seen = Entrance(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    entrance.app = app
    assert await ask(entrance, "/readyz") == []
    assert seen == ["/readyz"]
