"""What the door lets in, refuses, and adds to every answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from prometheus_client import REGISTRY

from serving.http.app import create_app, routes_of
from serving.http.bodies import MAX_BODY_BYTES
from serving.http.openapi import OPERATIONS
from serving.moment import State

CLICK = {"type": "click", "user_id": "ann", "item_id": "item-1"}
FOREIGN = {"origin": "https://evil.example"}
SHOP = {"origin": "https://shop.example"}
JSON = {"content-type": "application/json"}


@pytest.fixture
def state(state: State) -> State:
    """With a shop whose pages may call."""
    allowed = msgspec.structs.replace(state.settings, allowed_origins=("https://shop.example",))
    return replace(state, settings=allowed)


def check(response: httpx.Response, status: int) -> str:
    """Check the form of a problem; return its detail."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    return str(body["detail"])


# --- methods ---


def test_every_route_says_what_it_takes(client: Any) -> None:
    """The same in OPTIONS, in 405, and in the document."""
    documented: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        documented.setdefault(operation.path, set()).add(operation.method.upper())
    for path, methods in documented.items():
        address = path.replace("{", "").replace("}", "")
        is_socket = path == "/v1/feed"
        there = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods and not is_socket else set())
        response = client.options(address)
        assert response.status_code == 204
        assert set(response.headers["allow"].split(", ")) == there
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} - there:
            response = client.request(method, address)
            assert response.status_code == 405, (method, address)
            assert set(response.headers["allow"].split(", ")) == there


def test_head_is_get_without_a_body_and_without_a_trace(client: Any, producer: Any) -> None:
    """Nobody saw a list."""
    plain = {"accept-encoding": "identity"}
    response = client.head("/v1/recommendations?user=ann", headers=plain)
    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 1000
    assert response.content == b""
    assert producer.sent == []


def test_a_socket_route_asks_for_an_upgrade(client: Any) -> None:
    """426, not a riddle."""
    response = client.get("/v1/feed")
    assert "WebSocket" in check(response, 426)
    assert response.headers["upgrade"] == "websocket"


# --- foreign pages ---


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/events"),
        ("POST", "/v1/rank"),
        ("POST", "/v1/recommendations"),
        ("PUT", "/v1/items/a"),
        ("DELETE", "/v1/items/a"),
        ("DELETE", "/v1/users/ann"),
    ],
)
@pytest.mark.parametrize("headers", [FOREIGN, {"origin": "null"}, {"sec-fetch-site": "cross-site"}])
def test_a_foreign_page_writes_nothing(
    client: Any, producer: Any, method: str, path: str, headers: dict[str, str]
) -> None:
    """403, whatever it sends."""
    response = client.request(method, path, content=json.dumps(CLICK), headers=headers | JSON)
    assert "FRESHET_ALLOWED_ORIGINS" in check(response, 403)
    assert "access-control-allow-origin" not in response.headers
    assert producer.sent == []


def test_what_a_foreign_page_embeds_leaves_no_trace(client: Any, producer: Any) -> None:
    """An image whose address is a list counts no impressions."""
    address = "/v1/recommendations?user=victim&impressions=server"
    for headers in (FOREIGN, {"sec-fetch-site": "cross-site"}):
        response = client.get(address, headers=headers)
        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers
    assert producer.sent == []
    client.get(address, headers={"sec-fetch-site": "same-origin"})
    assert len(producer.values("test.events")) == 20


def test_our_own_page_and_no_page_may_write(client: Any, producer: Any) -> None:
    """Also behind a proxy that ends TLS."""
    for headers in ({}, {"origin": "https://rec.example"}, {"sec-fetch-site": "same-origin"}):
        sent = {"host": "rec.example"} | headers
        assert client.post("/v1/events", json=CLICK, headers=sent).status_code == 202


def test_an_allowed_page_asks_first_and_may(client: Any) -> None:
    """CORS: the preflight, and the headers of the answer."""
    asked = {"access-control-request-method": "POST",
             "access-control-request-headers": "content-type,content-encoding"}  # fmt: skip
    preflight = client.options("/v1/events", headers=SHOP | asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "content-encoding" in preflight.headers["access-control-allow-headers"]
    check(client.options("/v1/events", headers=FOREIGN | asked), 403)
    for response in (
        client.post("/v1/events", json=CLICK, headers=SHOP),
        client.get("/v1/recommendations?user=a&k=0", headers=SHOP),
        client.get("/v9", headers=SHOP),
    ):
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert "Origin" in response.headers["vary"]
    assert "Origin" in client.get("/livez").headers["vary"]


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", "application/json"])
def test_a_beacon_of_an_allowed_page_is_taken(client: Any, producer: Any, kind: str) -> None:
    """`sendBeacon` sends text; from no page at all, text is no JSON."""
    content = json.dumps([CLICK])
    headers = {"content-type": kind}
    assert client.post("/v1/events", content=content, headers=headers | SHOP).status_code == 202
    assert len(producer.sent) == 1
    if kind != "application/json":
        check(client.post("/v1/events", content=content, headers=headers), 415)
        check(client.post("/v1/events", content=content, headers=headers | FOREIGN), 403)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/jsonp"},
    ],
)
def test_a_body_must_say_that_it_is_json(client: Any, headers: dict[str, str]) -> None:
    """A page that may not ask first cannot say so."""
    content = json.dumps(CLICK).encode()
    for method, path in (("POST", "/v1/events"), ("PUT", "/v1/items/a"), ("POST", "/v1/rank")):
        response = client.request(method, path, content=content, headers=headers)
        assert "application/json" in check(response, 415)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_json_may_name_its_charset(client: Any, kind: str) -> None:
    """When it is the one that JSON has."""
    content = json.dumps(CLICK)
    sent = client.post("/v1/events", content=content, headers={"content-type": kind})
    assert sent.status_code == 202


def test_a_foreign_page_gets_no_socket(client: Any, users: Any) -> None:
    """An allowed one and our own do."""
    with pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/v1/feed", headers=FOREIGN).__enter__()
    for headers in (SHOP, {}):
        with client.websocket_connect("/v1/feed", headers=headers) as socket:
            socket.send_text('{"user": "ann"}')
            assert socket.receive_json()["type"] == "snapshot"


def test_a_name_that_is_not_ours_is_misdirected(services: Any) -> None:
    """Once names are given, others are refused: DNS rebinding."""
    state = services.state
    settings = msgspec.structs.replace(state.settings, allowed_hosts=("rec.example",))
    object.__setattr__(state, "settings", settings)
    with TestClient(create_app(services)) as client:
        assert "FRESHET_ALLOWED_HOSTS" in check(client.get("/livez"), 421)
        assert client.get("/livez", headers={"host": "rec.example:8080"}).status_code == 200


# --- bodies ---


def test_a_packed_body_is_taken(client: Any, producer: Any) -> None:
    """Within the same bound as another."""
    packed = gzip.compress(json.dumps([CLICK]).encode())
    headers = JSON | {"content-encoding": "gzip"}
    assert client.post("/v1/events", content=packed, headers=headers).status_code == 202
    assert producer.values("test.events")[0]["item_id"] == "item-1"
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    check(client.post("/v1/events", content=bomb, headers=headers), 413)
    assert "cut off" in check(client.post("/v1/events", content=packed[:-9], headers=headers), 400)
    check(client.post("/v1/events", content=b"{}", headers=headers), 400)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "aws-chunked"])
def test_another_packing_is_named(client: Any, encoding: str) -> None:
    """415, with what is taken."""
    headers = JSON | {"content-encoding": encoding}
    response = client.post("/v1/events", content=b"{}", headers=headers)
    assert encoding.partition(",")[0] in check(response, 415)
    assert response.headers["accept-encoding"] == "gzip, deflate"


def test_a_body_in_chunks_is_bounded_too(client: Any) -> None:
    """It announces no length."""

    def chunks() -> Iterator[bytes]:
        yield b'"'
        for _ in range(MAX_BODY_BYTES // 1000 + 1):
            yield b"x" * 1000

    check(client.post("/v1/events", content=chunks(), headers=JSON), 413)


def test_long_answers_are_packed_for_those_who_take_it(client: Any) -> None:
    """And every cache learns that there are two of them."""
    address = "/v1/recommendations?user=ann&k=60&seed=1"
    packed = client.get(address, headers={"accept-encoding": "gzip"})
    plain = client.get(address, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert "content-encoding" not in plain.headers
    for response in (packed, plain):
        assert "Accept-Encoding" in response.headers["vary"]
        assert len(response.json()["items"]) == 60
    for path in ("/", "/static/feed.js", "/openapi.json", "/metrics"):
        assert client.get(path).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/livez").headers


# --- what is counted ---


async def test_an_upload_that_is_broken_off_is_no_fault_of_ours(
    services: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted as 499, and logged for who looks for it."""
    caplog.set_level("DEBUG", logger="serving")
    app = create_app(services)
    before = _count("/v1/events", "POST", "499"), _faults()
    messages = [
        {"type": "http.request", "body": b'{"type"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    scope = {
        "type": "http", "method": "POST", "path": "/v1/events", "raw_path": b"/v1/events",
        "query_string": b"", "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http",
    }  # fmt: skip
    await app(scope, receive, send)  # type: ignore[arg-type]
    assert (_count("/v1/events", "POST", "499"), _faults()) == (before[0] + 1, before[1])
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert "7 bytes" in caplog.text


def test_faults_are_born_before_they_happen(services: Any) -> None:
    """`increase` does not see a series that is born with its first fault."""
    app = create_app(services)
    for route in routes_of(app).all:
        for method in route.methods:
            for code in ("500", "503"):
                labels = {"route": route.template, "method": method, "code": code}
                value = REGISTRY.get_sample_value("freshet_http_requests_total", labels)
                assert value is not None


def test_what_no_route_takes_is_counted_without_its_path(client: Any) -> None:
    """404 and made-up methods have bounded labels."""
    before = _count("other", "GET", "404")
    client.get("/made/up")
    assert _count("other", "GET", "404") == before + 1
    client.request("PURGE", "/v1/events")
    assert _count("/v1/events", "other", "405") >= 1
    assert "PURGE" not in client.get("/metrics").text


def _count(route: str, method: str, code: str) -> float:
    labels = {"route": route, "method": method, "code": code}
    return REGISTRY.get_sample_value("freshet_http_requests_total", labels) or 0.0


def _faults() -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "freshet_http_requests_total" and sample.labels["code"].startswith("5")
    )
