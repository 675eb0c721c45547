"""`/v1/events`: what is taken, what is refused, and what is said of each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from freshet.core.events.partition import partition_of
from freshet.core.events.schema import MAX_FUTURE_MS
from serving.http.events import MAX_EVENTS

NOW_MS = 1_763_800_000_000
JSON = {"content-type": "application/json"}
CLICK = {"type": "click", "user_id": "ann", "item_id": "item-1"}


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: [e], lambda e: {"events": [e]}])
def test_one_event_is_taken_in_three_forms(client: Any, producer: Any, wrap: Any) -> None:
    """202, the id and time filled in, in the partition of its user."""
    response = client.post("/v1/events", json=wrap(CLICK))
    assert response.status_code == 202
    body = response.json()
    assert (body["accepted"], body["rejected"]) == (1, 0)
    (result,) = body["results"]
    assert result["index"] == 0
    assert result["status"] == "accepted"
    assert result["filled"] == ["event_id", "ts_ms"]
    (event,) = producer.values("test.events")
    assert event == {**CLICK, "event_id": result["event_id"], "ts_ms": NOW_MS}
    assert producer.sent[0].partition == partition_of("ann", 4)
    assert producer.sent[0].key == b"ann"


def test_what_an_event_says_is_kept(client: Any, producer: Any) -> None:
    """Nothing is filled in where it was given."""
    event = {**CLICK, "event_id": "e1", "ts_ms": NOW_MS - 5, "value": 2.5, "context": {"a": [1]}}
    body = client.post("/v1/events", json=event).json()
    assert body["results"] == [{"index": 0, "status": "accepted", "event_id": "e1"}]
    assert producer.values("test.events") == [event]


def test_a_bad_event_leaves_its_neighbours_untouched(client: Any, producer: Any) -> None:
    """202 with a result for each, and a pointer for the bad ones."""
    batch = [
        CLICK,
        {**CLICK, "type": "clik"},
        {**CLICK, "user_id": ""},
        {"type": "click"},
        7,
        {**CLICK, "ts_ms": NOW_MS + MAX_FUTURE_MS + 1},
        {**CLICK, "ts_ms": NOW_MS // 1000},
        {**CLICK, "context": {"long": "x" * 20_000}},
        {**CLICK, "item_id": "item-2"},
    ]
    response = client.post("/v1/events", json={"events": batch})
    assert response.status_code == 202
    body = response.json()
    assert (body["accepted"], body["rejected"]) == (2, 7)
    rejected = [each for each in body["results"] if each["status"] == "rejected"]
    assert [each["pointer"] for each in rejected] == [
        "/events/1/type",
        "/events/2/user_id",
        "/events/3/user_id",
        "/events/4",
        "/events/5/ts_ms",
        "/events/6/ts_ms",
        "/events/7",
    ]
    assert all(each["error"] for each in rejected)
    assert [event["item_id"] for event in producer.values("test.events")] == ["item-1", "item-2"]


UNDECODABLE = {
    "half a surrogate pair": (b'{"context": {"q": "tea \\ud83c"}, "user_id": "bad"}', "/context/q"),
    "NaN": (b'{"value": NaN, "user_id": "bad"}', "/value"),
    "beyond 64 bits": (b'{"value": 1e400, "user_id": "bad"}', "/value"),
    "minus infinity": (b'{"context": {"x": [-Infinity]}, "user_id": "bad"}', "/context/x/0"),
    "no UTF-8": (b'{"user_id": "bad\xff"}', "/user_id"),
    "a key twice": (b'{"user_id": "bad", "user_id": "ann"}', "/user_id"),
    "nested too deep": (b'{"context": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", ""),
    "a control character": (b'{"user_id": "a\nb"}', ""),
    "a trailing comma": (b'{"user_id": "bad",}', ""),
    "nothing": (b"", ""),
    "another type": (b'"click"', ""),
}


@pytest.mark.parametrize("kind", UNDECODABLE)
@pytest.mark.parametrize("wrap", [b"[%s]", b'{"events": [%s]}'])
def test_an_event_that_is_no_json_leaves_its_neighbours_untouched(
    client: Any, producer: Any, kind: str, wrap: bytes
) -> None:
    """It alone is rejected, named by its place in the body."""
    bad, pointer = UNDECODABLE[kind]
    good = [msgspec.json.encode({**CLICK, "item_id": f"item-{number}"}) for number in range(3)]
    body = wrap.replace(b"%s", b", ".join([good[0], bad, good[1], good[2]]))
    response = client.post("/v1/events", content=body, headers=JSON)
    assert response.status_code == 202
    results = response.json()["results"]
    assert [each["status"] for each in results] == ["accepted", "rejected", "accepted", "accepted"]
    prefix = "/events/1" if b"events" in wrap else "/1"
    assert results[1]["pointer"] == prefix + pointer
    assert results[1]["error"]
    sent = [event["item_id"] for event in producer.values("test.events")]
    assert sent == ["item-0", "item-1", "item-2"]


def test_a_single_event_that_is_no_json_points_at_its_field(client: Any, producer: Any) -> None:
    """400, as for any other event that is not valid."""
    body = b'{"type": "click", "user_id": "ann", "item_id": "a", "value": NaN}'
    response = client.post("/v1/events", content=body, headers=JSON)
    assert response.status_code == 400
    assert [each["pointer"] for each in response.json()["errors"]] == ["/value"]
    assert producer.sent == []


def test_a_body_that_was_cut_off_is_refused_whole(client: Any, producer: Any) -> None:
    """It says after how many bytes, in which element, and nothing of it is sent."""
    body = msgspec.json.encode([CLICK, CLICK])[:-9]
    response = client.post("/v1/events", content=body, headers=JSON)
    assert response.status_code == 400
    assert "element 1" in response.json()["detail"]
    assert str(len(body)) in response.json()["detail"]
    assert producer.sent == []


def test_when_no_event_is_valid_the_request_is_refused(client: Any, producer: Any) -> None:
    """400 problem+json that names each field, and nothing is sent."""
    response = client.post("/v1/events", json=[{**CLICK, "type": "x"}, {**CLICK, "item_id": 3}])
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert [each["pointer"] for each in response.json()["errors"]] == ["/0/type", "/1/item_id"]
    assert producer.sent == []


def test_the_pointer_into_a_single_event_starts_at_the_event(client: Any) -> None:
    """The body is the event."""
    response = client.post("/v1/events", json={**CLICK, "type": "x"})
    assert [each["pointer"] for each in response.json()["errors"]] == ["/type"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], []),
        ({"events": []}, ["/events"]),
        ({"events": 3}, ["/events"]),
        ("click", []),
        ([CLICK] * (MAX_EVENTS + 1), []),
    ],
)
def test_a_body_without_a_fitting_number_of_events_is_refused(
    client: Any, body: Any, pointer: list[str]
) -> None:
    """From one to the most that a request may hold."""
    response = client.post("/v1/events", json=body)
    assert response.status_code == 400
    assert [each["pointer"] for each in response.json().get("errors", [])] == pointer


def test_the_most_events_of_a_request_are_taken(client: Any, producer: Any) -> None:
    """All of them, each with an id of its own."""
    body = client.post("/v1/events", json=[CLICK] * MAX_EVENTS).json()
    assert body["accepted"] == MAX_EVENTS
    assert len({each["event_id"] for each in body["results"]}) == MAX_EVENTS


def test_without_kafka_nothing_is_promised(client: Any, producer: Any) -> None:
    """503 and Retry-After, never a 202."""
    producer.down = True
    response = client.post("/v1/events", json=CLICK)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    assert "same event_id" in response.json()["detail"]


def test_events_are_refused_at_once_when_too_much_waits_for_kafka(
    client: Any, producer: Any
) -> None:
    """Nothing of them is read, nothing is sent; items and erasures are refused alike."""
    producer.waiting_bytes = 1_000
    for response in (
        client.post("/v1/events", content=b"not JSON", headers={"content-type": "text/plain"}),
        client.put("/v1/items/a", json={"title": "A"}),
        client.delete("/v1/items/a"),
        client.delete("/v1/users/ann"),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "FRESHET_INTAKE_MIB" in response.json()["detail"]
    assert producer.sent == []
