"""The feed socket: a snapshot, then an update after each change, and clear ends."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from litestar.exceptions import WebSocketDisconnect

from serving.http import feed
from serving.http.app import create_app


@pytest.fixture
def folding(producer: Any, users: Any, state: Any) -> None:
    """Folds every event at once, as the worker would, and tells so."""

    def fold(event: Any) -> None:
        users.act(event.user_id, event.item_id, event.type, event.event_id, event.ts_ms)
        state.notices.notify([event.user_id])

    producer.on_event = fold


def click(client: Any, user: str, item: str, kind: str = "click") -> None:
    event = {"type": kind, "user_id": user, "item_id": item}
    assert client.post("/v1/events", json=event).status_code == 202


def test_a_click_pushes_a_list_without_the_item(client: Any, folding: None) -> None:
    """The snapshot comes first, the update after the click, numbered."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text(json.dumps({"user": "ann", "k": 10}))
        first = socket.receive_json()
        assert (first["type"], first["seq"]) == ("snapshot", 0)
        clicked = first["answer"]["items"][2]["item_id"]
        click(client, "ann", clicked)
        update = socket.receive_json()
        assert (update["type"], update["seq"]) == ("update", 1)
        assert update["answer"]["as_of"]["applied"] == 1
        assert clicked not in [item["item_id"] for item in update["answer"]["items"]]


@pytest.mark.parametrize("kind", ["hide", "dislike", "report"])
def test_a_rejection_reaches_every_feed_of_the_user(client: Any, folding: None, kind: str) -> None:
    """Two tabs: what is hidden in one leaves both, and comes back to neither."""
    with (
        client.websocket_connect("/v1/feed") as one,
        client.websocket_connect("/v1/feed") as two,
    ):
        for socket in (one, two):
            socket.send_text(json.dumps({"user": "ann", "k": 10}))
        snapshots = [socket.receive_json()["answer"]["items"] for socket in (one, two)]
        rejected = snapshots[0][0]["item_id"]
        click(client, "ann", rejected, kind=kind)
        for socket in (one, two):
            items = socket.receive_json()["answer"]["items"]
            assert len(items) == 10
            assert rejected not in [item["item_id"] for item in items]
        click(client, "ann", "item-79")
        for socket in (one, two):
            items = socket.receive_json()["answer"]["items"]
            assert rejected not in [item["item_id"] for item in items]


def test_a_feed_of_somebody_who_rejected_all_there_is_says_so_and_goes_on(
    client: Any, folding: None, table: Any
) -> None:
    """No empty list, and nothing that was rejected; taken back, there is a list again."""
    table.withdraw([f"item-{number}" for number in range(2, 80)])
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "ann"}')
        assert len(socket.receive_json()["answer"]["items"]) == 2
        click(client, "ann", "item-0", kind="hide")
        left = socket.receive_json()["answer"]["items"]
        assert [item["item_id"] for item in left] == ["item-1"]
        click(client, "ann", "item-1", kind="hide")
        message = socket.receive_json()
        assert set(message) == {"type", "seq", "detail"}
        assert (message["type"], message["seq"]) == ("empty", 2)
        assert "rejected every item" in message["detail"]
        response = client.get("/v1/recommendations?user=ann")
        assert (response.status_code, response.json()["status"]) == (422, 422)
        assert "rejected every item" in response.text
        click(client, "ann", "item-1", kind="like")
        update = socket.receive_json()
        assert (update["type"], update["seq"]) == ("update", 3)
    assert client.get("/v1/recommendations?user=ann").status_code == 200


def test_a_category_without_items_is_no_reason_to_close(client: Any) -> None:
    """There may be some later."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "ann", "categories": ["none has it"]}')
        message = socket.receive_json()
        assert (message["type"], message["seq"]) == ("empty", 0)


def test_impressions_and_other_peoples_clicks_push_nothing(client: Any, folding: None) -> None:
    """The next update is the one after the user's own click."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text(json.dumps({"user": "ann"}))
        socket.receive_json()
        click(client, "ann", "item-1", kind="impression")
        click(client, "bob", "item-2")
        click(client, "ann", "item-3")
        assert socket.receive_json()["answer"]["as_of"]["applied"] == 2


def test_a_feed_reports_no_impressions_by_itself(client: Any, producer: Any) -> None:
    """A pushed list may never be seen; its slate is logged all the same."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text(json.dumps({"user": "ann"}))
        socket.receive_json()
    assert producer.values("test.events") == []
    assert len(producer.values("test.slates")) == 1


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ("{", 1008, ""),
        ("{}", 1008, "user"),
        ('{"user": "a", "k": 0}', 1008, "k"),
        ('{"user": "a", "seed": 1}', 1008, "seed"),
        ('{"user": "' + "x" * 20_000 + '"}', 1009, "16384"),
    ],
)
def test_a_wrong_first_message_closes_the_socket(
    client: Any, message: str, code: int, words: str
) -> None:
    """With a code and a reason."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text(message)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == code
    assert words in caught.value.detail


def test_a_second_message_is_against_the_protocol(client: Any) -> None:
    """One socket, one user."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "a"}')
        socket.receive_json()
        socket.send_text('{"user": "b"}')
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == 1008


def test_a_silent_client_is_let_go(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a first message the socket does not stay open."""
    monkeypatch.setattr(feed, "FIRST_MESSAGE_S", 0.01)
    with client.websocket_connect("/v1/feed") as socket, pytest.raises(WebSocketDisconnect) as end:
        socket.receive_json()
    assert end.value.code == 1008


def test_without_a_catalogue_the_client_is_asked_to_come_back(client: Any, table: Any) -> None:
    """Try again later."""
    table.withdraw(list(table.ids))
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "a"}')
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == 1013


@pytest.mark.parametrize("leaves_at", ["websocket.accept", "websocket.send", "websocket.close"])
async def test_a_client_that_left_is_no_fault_of_ours(
    services: Any, state: Any, caplog: pytest.LogCaptureFixture, leaves_at: str
) -> None:
    """Whatever is being sent when it goes; the log has it for who looks for it."""
    caplog.set_level("DEBUG", logger="serving")
    first = '{"user": "ann"}' if leaves_at != "websocket.close" else "{"
    messages = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": first}]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Any) -> None:
        if message["type"] == leaves_at:
            raise ConnectionError("gone")  # uvicorn's own is an OSError too

    scope = {
        "type": "websocket", "path": "/v1/feed", "raw_path": b"/v1/feed", "query_string": b"",
        "headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "ws",
        "subprotocols": [],
    }  # fmt: skip
    await create_app(services)(scope, receive, send)  # type: ignore[arg-type]
    assert {record.levelname for record in caplog.records} <= {"DEBUG"}
    assert "ann" not in state.notices._waiting


def test_whoever_left_is_forgotten(client: Any, state: Any) -> None:
    """Nobody waits for the user any more."""
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "ann"}')
        socket.receive_json()
        assert "ann" in state.notices._waiting
    assert client.get("/livez").status_code == 200
    assert "ann" not in state.notices._waiting


def test_a_bug_closes_the_socket_with_its_code(
    client: Any, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1011, and nobody waits any more."""
    monkeypatch.setattr("serving.http.recommendations.recommend", None)
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "ann"}')
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == 1011
    assert "ann" not in state.notices._waiting


def test_a_user_has_so_many_feeds_and_no_more(client: Any, services: Any) -> None:
    """1013 for one too many; others are not harmed, and one that ends makes room."""
    most = services.state.settings.feeds_per_user
    with ExitStack() as stack:
        for _ in range(most):
            socket = stack.enter_context(client.websocket_connect("/v1/feed"))
            socket.send_text('{"user": "ann"}')
            socket.receive_json()
        with client.websocket_connect("/v1/feed") as socket:
            socket.send_text('{"user": "ann"}')
            with pytest.raises(WebSocketDisconnect) as caught:
                socket.receive_json()
        assert (caught.value.code, f"{most} feeds open" in caught.value.detail) == (1013, True)
        with client.websocket_connect("/v1/feed") as socket:
            socket.send_text('{"user": "bob"}')
            assert socket.receive_json()["type"] == "snapshot"
    with client.websocket_connect("/v1/feed") as socket:
        socket.send_text('{"user": "ann"}')
        assert socket.receive_json()["type"] == "snapshot"
