"""Every error of every class is problem+json that says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from serving.http.bodies import MAX_BODY_BYTES
from serving.http.problems import field_error
from serving.live_bundle import LiveBundle

JSON = {"content-type": "application/json"}


def check(response: Any, status: int, *pointers: str) -> dict[str, Any]:
    """Check the form of a problem and where it points."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["instance"].startswith("/")
    assert [error["pointer"] for error in body.get("errors", [])] == list(pointers)
    return body


@pytest.mark.parametrize(
    ("message", "pointer"),
    [
        ("Expected `int` >= 1 - at `$.k`", "/k"),
        ("Expected `str`, got `int` - at `$[2].context['a']`", "/2/context"),
        ("Object missing required field `type` - at `$.events[3]`", "/events/3/type"),
        ("Object contains unknown field `z`", "/z"),
        ("Expected `object`, got `int`", ""),
        ("Expected `str` - at `$[...]`", ""),
    ],
)
def test_a_message_points_at_its_field(message: str, pointer: str) -> None:
    """As a JSON pointer, and without the path in its words."""
    found = field_error(message)
    assert found.pointer.startswith(pointer)
    assert "$" not in found.detail


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/user"),
        ("user=", "/user"),
        ("user=a&k=0", "/k"),
        ("user=a&k=101", "/k"),
        ("user=a&k=ten", "/k"),
        ("user=a&seed=-1", "/seed"),
        ("user=a&impressions=maybe", "/impressions"),
        ("user=a&catgories=x", "/catgories"),
        ("user=a&after=" + 65 * "x", "/after"),
        ("user=a&user=b", "/user"),
        ("user=a&k=1&k=2", "/k"),
        ("user=a&k=1e3", "/k"),
        ("user=a&k=%2B5", "/k"),
        ("user=a&k=", "/k"),
    ],
)
def test_a_wrong_parameter_is_named(client: Any, query: str, pointer: str) -> None:
    """400, with a pointer to it."""
    check(client.get(f"/v1/recommendations?{query}"), 400, pointer)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/recommendations", {"k": 3}, "/user"),
        ("/v1/recommendations", {"user": "a", "k": "3"}, "/k"),
        ("/v1/recommendations", {"user": "a", "exclude": ["x", 3]}, "/exclude/1"),
        ("/v1/rank", {"user": "a", "items": []}, "/items"),
        ("/v1/rank", {"user": "a"}, "/items"),
    ],
)
def test_a_wrong_body_is_named(client: Any, path: str, body: Any, pointer: str) -> None:
    """400, with a pointer to the field."""
    check(client.post(path, json=body), 400, pointer)


@pytest.mark.parametrize("path", ["/v1/recommendations", "/v1/rank", "/v1/events"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_refused(client: Any, path: str, content: bytes) -> None:
    """400, about the body as a whole."""
    check(client.post(path, content=content, headers=JSON), 400)


@pytest.mark.parametrize(
    ("method", "path", "content", "pointer"),
    [
        ("POST", "/v1/recommendations", b'{"user": "a", "seed": NaN}', "/seed"),
        ("POST", "/v1/recommendations", b'{"user": "a", "user": "b"}', "/user"),
        ("POST", "/v1/rank", b'{"user": "a", "items": ["x", "\\udc00"]}', "/items/1"),
        ("PUT", "/v1/items/a", b'{"price": 1e400}', "/price"),
        ("PUT", "/v1/items/a", b'{"attributes": {"a/b": Infinity}}', "/attributes/a~1b"),
        ("PUT", "/v1/items/" + "x" * 129, b"{}", "/item_id"),
        ("DELETE", "/v1/users/" + "x" * 129, b"", "/user_id"),
        ("GET", "/v1/items/" + "x" * 129 + "/similar", b"", "/item_id"),
    ],
)
def test_what_json_does_not_allow_is_named_in_every_route(
    client: Any, producer: Any, method: str, path: str, content: bytes, pointer: str
) -> None:
    """400, with a pointer to the field, and nothing is sent."""
    check(client.request(method, path, content=content, headers=JSON), 400, pointer)
    assert producer.sent == []


@pytest.mark.parametrize("path", ["/v1/recommendations", "/v1/rank", "/v1/events"])
@pytest.mark.parametrize("content", [b"null", b"7", b'"a"', b"true"])
def test_a_body_of_another_kind_is_refused(client: Any, path: str, content: bytes) -> None:
    """400: JSON, but no object."""
    check(client.post(path, content=content, headers=JSON), 400)


def test_a_query_that_is_not_utf8_is_refused(client: Any) -> None:
    """Two unreadable users must not become one."""
    check(client.get("/v1/recommendations?user=%FF"), 400)


def test_another_media_type_is_refused(client: Any) -> None:
    """415."""
    headers = {"content-type": "text/plain"}
    check(client.post("/v1/events", content=b"{}", headers=headers), 415)
    check(client.put("/v1/items/a", content=b"{}", headers=headers), 415)


def test_a_body_that_is_too_large_is_refused(client: Any) -> None:
    """413."""
    content = b'"' + b"x" * MAX_BODY_BYTES + b'"'
    check(client.post("/v1/events", content=content, headers=JSON), 413)


def test_an_unknown_route_and_a_wrong_method_are_refused(client: Any) -> None:
    """404, and 405 with the methods that are allowed."""
    check(client.get("/v2/recommendations"), 404)
    check(client.get("/static/no-such-file.js"), 404)
    check(client.get("/static/../conftest.py"), 404)
    response = client.delete("/v1/events")
    check(response, 405)
    assert "POST" in response.headers["allow"]


def test_filters_that_nothing_passes_are_unprocessable(client: Any) -> None:
    """422, naming the filter."""
    check(client.get("/v1/recommendations?user=a&categories=none"), 422, "/categories")
    check(client.post("/v1/rank", json={"user": "a", "items": ["none"]}), 422, "/items")


def test_an_empty_catalogue_is_unavailable(client: Any, table: Any) -> None:
    """503 with Retry-After, and words that say so."""
    table.withdraw(list(table.ids))
    response = client.get("/v1/recommendations?user=a")
    body = check(response, 503)
    assert "offers no items" in body["detail"]
    assert int(response.headers["retry-after"]) > 0


def test_a_bug_is_ours_and_tells_nothing(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """500, without the trace."""
    monkeypatch.setattr(LiveBundle, "version", property(_broken))
    body = check(client.get("/v1/trending"), 500)
    assert "secret" not in str(body)


def _broken(_: object) -> str:
    raise RuntimeError("a secret")
