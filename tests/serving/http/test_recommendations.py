"""`/v1/recommendations` and `/v1/rank` over the twins."""

from __future__ import annotations

from typing import Any

import pytest

from freshet.core.events.partition import partition_of
from freshet.core.settings import Settings
from serving.answer import Answer
from serving.assembly import policy


def test_an_answer_says_what_it_is(client: Any, users: Any, live: Any) -> None:
    """Every field of law 7, by GET."""
    users.act("ann", "item-3", event_id="e1")
    body = client.get("/v1/recommendations?user=ann&k=5&seed=1").json()
    assert set(body) == set(Answer.__struct_fields__)
    assert body["user"] == "ann"
    assert body["model_version"] == live.version
    assert body["as_of"]["applied"] == 1
    assert len(body["as_of"]["event"]) == 10
    assert (body["quality"], body["degraded"]) == ("full", [])
    assert body["policy"] == policy(Settings())
    assert body["consistent"] is None
    assert body["took_ms"] > 0
    assert len(body["items"]) == 5


def test_get_and_post_answer_alike(client: Any) -> None:
    """The same query, in the query string and in a body."""
    query = "user=ann&k=6&seed=3&exclude=item-1&exclude=item-2&categories=garden&categories=music"
    body = {
        "user": "ann",
        "k": 6,
        "seed": 3,
        "exclude": ["item-1", "item-2"],
        "categories": ["garden", "music"],
    }
    got = client.get(f"/v1/recommendations?{query}").json()
    posted = client.post("/v1/recommendations", json=body).json()
    assert got["items"] == posted["items"]
    assert {category for item in got["items"] for category in item["categories"]} == {
        "garden",
        "music",
    }


def test_the_server_reports_impressions_unless_the_client_does(client: Any, producer: Any) -> None:
    """One event a slot, named by the answer, in the partition of the user."""
    body = client.post("/v1/recommendations", json={"user": "ann", "k": 3}).json()
    events = producer.values("test.events")
    assert [event["item_id"] for event in events] == [item["item_id"] for item in body["items"]]
    assert [event["event_id"] for event in events] == [
        f"{body['request_id']}:{n}" for n in range(3)
    ]
    assert {event["type"] for event in events} == {"impression"}
    assert {each.partition for each in producer.sent} == {partition_of("ann", 4)}
    asked = {"user": "ann", "k": 3, "impressions": "client"}
    client.post("/v1/recommendations", json=asked)
    assert len(producer.values("test.events")) == 3


def test_a_get_counts_nothing_unless_its_address_says_so(client: Any, producer: Any) -> None:
    """An image in any page, a crawler and a preview fetch addresses too."""
    for address in ("?user=ann&k=3", "?user=ann&k=3&impressions=client"):
        assert client.get(f"/v1/recommendations{address}").status_code == 200
    client.get("/v1/trending?user=ann")
    client.get("/v1/items/item-1/similar?user=ann")
    assert producer.values("test.events") == []
    client.get("/v1/recommendations?user=ann&k=3&impressions=server")
    assert len(producer.values("test.events")) == 3


@pytest.mark.parametrize("path", ["recommendations", "rank"])
def test_every_answer_is_logged_as_a_slate(client: Any, producer: Any, path: str) -> None:
    """With the slots as answered."""
    items = [f"item-{number}" for number in range(4)]
    body = client.post(
        f"/v1/{path}", json={"user": "ann", **({"items": items} if path == "rank" else {"k": 4})}
    ).json()
    (slate,) = producer.values("test.slates")
    assert slate["request_id"] == body["request_id"]
    assert [slot["item_id"] for slot in slate["slots"]] == [
        each["item_id"] for each in body["items"]
    ]
    assert all(0 < slot["propensity"] <= 1 for slot in slate["slots"])
    assert slate["features"]


def test_answers_go_on_while_kafka_is_away(client: Any, producer: Any) -> None:
    """The log of an answer is never waited for."""
    producer.down = True
    assert client.get("/v1/recommendations?user=ann").status_code == 200


@pytest.mark.parametrize(("query", "learned"), [("", 1), ("&exclude=item-9", 0)])
def test_what_is_visited_after_a_list_was_asked_for_is_learned(
    client: Any, users: Any, state: Any, query: str, learned: int
) -> None:
    """By the next request at the latest; a list of some items only says nothing."""
    client.get(f"/v1/recommendations?user=ann{query}")
    users.act("ann", "item-4")
    client.get("/v1/recommendations?user=ann")
    assert state.sources.visits == learned
