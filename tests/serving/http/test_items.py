"""The catalogue over HTTP, what is similar and what trends."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from freshet.core.events.codec import decode_entry
from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import Item
from freshet.core.state.records import COVISIT_DTYPE

NOW_MS = 1_763_800_000_000


def test_an_item_is_put_into_the_topic_of_the_catalogue(client: Any, producer: Any) -> None:
    """In its own partition, its creation filled in where nobody knows it."""
    response = client.put("/v1/items/fresh", json={"title": "Fresh", "categories": ["garden"]})
    assert response.status_code == 202
    assert response.json() == {
        "item_id": "fresh",
        "status": "accepted",
        "filled": ["created_ts_ms"],
    }
    assert producer.values("test.catalog") == [
        {"item_id": "fresh", "title": "Fresh", "categories": ["garden"], "created_ts_ms": NOW_MS}
    ]
    assert producer.sent[0].partition == partition_of("fresh", 4)


@pytest.mark.parametrize(
    "item_id",
    ["SHIRT/RED", "/a", "a/", "..", "100%", "a?b#c", "a b+c", "\u00e9", "x/similar", "%2F"],
)
def test_every_id_works_in_every_route(
    client: Any, producer: Any, table: Any, item_id: str
) -> None:
    """Put, found, shown similar to, named in queries, withdrawn."""
    encoded = quote(item_id, safe="").replace(".", "%2E")
    answer = client.put(f"/v1/items/{encoded}", json={"title": "Odd"})
    assert (answer.status_code, answer.json()["item_id"]) == (202, item_id)
    assert producer.values("test.catalog")[0]["item_id"] == item_id
    assert client.get(f"/v1/items/{encoded}/similar").status_code == 404
    table.offer([Item(item_id=item_id, created_ts_ms=NOW_MS)])
    assert client.get(f"/v1/items/{encoded}/similar").status_code == 200
    address = f"/v1/recommendations?user={encoded}&k=100&exclude="
    assert client.get(f"{address}{encoded}").json()["user"] == item_id
    shown = client.get(f"{address}{encoded}").json()["items"]
    assert item_id not in [each["item_id"] for each in shown]
    assert client.delete(f"/v1/items/{encoded}").status_code == 202
    assert producer.sent[-1].key == item_id.encode()


def test_a_known_item_stays_as_old_as_it_is(client: Any, producer: Any, items: Any) -> None:
    """A new title makes no new item."""
    assert client.put("/v1/items/item-3", json={"title": "Again"}).json()["filled"] == []
    assert producer.values("test.catalog")[0]["created_ts_ms"] == items[3].created_ts_ms


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"item_id": "other"}, ["/item_id"]),
        ({"price": -1}, ["/price"]),
        ({"categories": [""] * 33}, ["/categories"]),
        ({"title": 3}, ["/title"]),
        ([], []),
    ],
)
def test_a_wrong_item_is_refused(client: Any, producer: Any, body: Any, pointer: list[str]) -> None:
    """400 that names the field, and nothing is sent."""
    response = client.put("/v1/items/fresh", json=body)
    assert response.status_code == 400
    assert [each["pointer"] for each in response.json().get("errors", [])] == pointer
    assert producer.sent == []


def test_deleting_an_item_sends_a_tombstone(client: Any, producer: Any) -> None:
    """A null value under its key."""
    assert client.delete("/v1/items/item-3").status_code == 202
    (record,) = producer.sent
    assert (record.topic, record.key, record.value) == ("test.catalog", b"item-3", None)


def test_without_kafka_the_catalogue_does_not_change(client: Any, producer: Any) -> None:
    """503 for both."""
    producer.down = True
    assert client.put("/v1/items/fresh", json={}).status_code == 503
    assert client.delete("/v1/items/item-3").status_code == 503


def test_trending_is_in_the_order_of_the_rates(client: Any) -> None:
    """Item 0 has most events at every half-life."""
    for half_life_s in (300, 3_600, 86_400, 604_800):
        body = client.get(f"/v1/trending?half_life_s={half_life_s}&k=5").json()
        assert [item["item_id"] for item in body["items"]] == [f"item-{n}" for n in range(5)]
        scores = [item["score"] for item in body["items"]]
        assert scores == sorted(scores, reverse=True)
        assert body["as_of_ts_ms"] == NOW_MS


def test_another_half_life_is_not_counted(client: Any) -> None:
    """400 that names those that are."""
    response = client.get("/v1/trending?half_life_s=60")
    assert response.status_code == 400
    assert "3600" in response.json()["detail"]


def test_similar_items_are_near_and_not_the_item_itself(client: Any, table: Any) -> None:
    """Withdrawn ones neither."""
    table.withdraw(["item-71"])
    body = client.get("/v1/items/item-70/similar?k=10").json()
    found = [item["item_id"] for item in body["items"]]
    assert len(found) == 10
    assert not {"item-70", "item-71"} & set(found)
    scores = [item["score"] for item in body["items"]]
    assert scores == sorted(scores, reverse=True)
    assert body["basis"] == "cosine similarity"


def test_without_a_model_similar_is_what_was_visited_next(
    client: Any, table: Any, live: Any, covisits: Any
) -> None:
    """From the transitions."""
    live.current = None
    table.put_covisits(table.hashes(table.rows(["item-1"])).tolist(), [covisits("item-2")])
    body = client.get("/v1/items/item-1/similar").json()
    assert [item["item_id"] for item in body["items"]] == ["item-2"]
    assert "next" in body["basis"]


def test_nothing_is_similar_to_an_item_that_nobody_offers(client: Any) -> None:
    """404."""
    assert client.get("/v1/items/what/similar").status_code == 404


def test_what_is_similar_or_rising_leaves_out_what_a_user_rejected(
    client: Any, users: Any, state: Any
) -> None:
    """For that user alone, with a model and without, and from memory while Redis is down."""
    table = state.items.table

    def listed(address: str) -> list[str]:
        return [item["item_id"] for item in client.get(address).json()["items"]]

    rising, near = "/v1/trending?k=3", "/v1/items/item-0/similar?k=3"
    first, similar = listed(rising)[0], listed(near)
    for item_id in (first, *similar):
        users.act("ann", item_id, kind="hide")
    for _ in range(2):
        assert first not in listed(f"{rising}&user=ann")
        found = listed(f"{near}&user=ann")
        assert len(found) == 3
        assert not set(found) & set(similar)
        assert first == listed(f"{rising}&user=bob")[0] == listed(rising)[0]
        users.down = True
    users.down = False
    state.live.current = None
    (item,) = item_hashes(["item-0"]).tolist()
    other = next(each for each in table.ids if each not in {"item-0", first, *similar})
    transitions = np.zeros(2, COVISIT_DTYPE)
    transitions["next"] = item_hashes([other, similar[0]])
    transitions["ts_s"], transitions["draw"], transitions["distance"] = NOW_MS // 1000, [1, 2], 1
    table.put_covisits([item], [transitions.tobytes()])
    assert set(listed(near)) == {other, similar[0]}
    assert listed(f"{near}&user=ann") == [other]


LARGE = {f"attribute-{n}": "x" * 100 for n in range(1_000)}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"attributes": LARGE}, 413),
        ({"attributes": {"x": "\u0001" * 4_000}}, 413),  # six bytes each, once encoded
        ({"attributes": {"x": [[1]]}}, 400),
        ({"attributes": {"x": {}}}, 400),
        ({"attributes": {"x": 10**400}}, 400),
        ({"price": 10**400}, 400),
        ({"price": -1}, 400),
        ({"categories": [f"c{n}" for n in range(33)]}, 400),
        ({"categories": ["x" * 129]}, 400),
        ({"title": "x" * 513}, 400),
        ({"title": "\ud800"}, 400),
        ({"created_ts_ms": 1e15}, 400),
        ({"attributes": {"x": 10**30, "": True, "\u0000": None}, "title": "\u0000" * 500}, 202),
        ({"categories": [""] * 32, "price": 1e308}, 202),
        ({"attributes": {"x": "x" * 16_200}}, 202),
    ],
)
def test_what_is_accepted_is_taken_by_the_fold(
    client: Any, producer: Any, body: Any, status: int
) -> None:
    """And what it would put among the dead letters is refused, with the limit."""
    headers = {"content-type": "application/json"}
    response = client.put("/v1/items/a", content=json.dumps(body), headers=headers)
    assert response.status_code == status, response.text
    sent = [(record.key, record.value) for record in producer.sent]
    if status == 202:
        [(key, value)] = sent
        assert decode_entry(key, value)[0] == "a"
    else:
        assert sent == []
    if status == 413:
        assert "expected at most 16384" in response.json()["detail"]
