"""Erasing a person over HTTP: the record, the receipt, and the proof."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from freshet.core.events.control import decode_erasure, forgotten_until_ms, user_hash
from freshet.core.events.partition import partition_of
from serving.erasures import ErasureState

from ..conftest import NOW_MS

ANN = user_hash("ann")
PARTITION = partition_of("ann", 4)


def test_an_erasure_is_placed_among_the_events_of_its_person(client: Any, producer: Any) -> None:
    """With the key of the events, and a receipt that names the place and no id."""
    first = client.delete("/v1/users/ann")
    second = client.delete("/v1/users/ann")
    assert (first.status_code, second.status_code) == (202, 202)
    (record, _) = producer.sent
    assert record[:3] == ("test.events", PARTITION, b"ann")
    erasure = decode_erasure(record.value)
    assert (erasure.erase, erasure.ts_ms) == ("ann", NOW_MS)
    receipt = second.json()
    assert receipt == {
        "erasure_id": receipt["erasure_id"],
        "user_hash": ANN,
        "topic": "test.events",
        "partition": PARTITION,
        "offset": 1,
        "ts_ms": NOW_MS,
        "check": f"/v1/erasures/{ANN}?partition={PARTITION}&offset=1&ts_ms={NOW_MS}",
        "remains": receipt["remains"],
    }
    assert erasure.erasure_id == first.json()["erasure_id"] != receipt["erasure_id"]


@pytest.mark.parametrize(
    "user_id",
    [
        "auth0/alice",
        "/a",
        "a/",
        "..",
        ".",
        "a%b",
        "a?b#c",
        "a b+c",
        "Zo\u00eb",
        "\U0001f375",
        "a%2Fb",
    ],
)
def test_everybody_whose_events_are_taken_can_be_erased(
    client: Any, producer: Any, user_id: str
) -> None:
    """Whatever stands in the id, and the proof is found where the receipt says."""
    event = {"type": "click", "user_id": user_id, "item_id": "item-1"}
    assert client.post("/v1/events", json=event).status_code == 202
    encoded = quote(user_id, safe="").replace(".", "%2E")
    receipt = client.delete(f"/v1/users/{encoded}")
    assert receipt.status_code == 202
    erasure = decode_erasure(producer.sent[-1].value)
    assert erasure.erase == user_id
    assert producer.sent[-1][:3] == producer.sent[0][:3]
    assert client.get(receipt.json()["check"]).status_code == 202


def test_a_receipt_is_checked_below_the_prefix_of_the_proxy(client: Any) -> None:
    """When the proxy names it."""
    answer = client.delete("/v1/users/ann", headers={"x-forwarded-prefix": "/rec"})
    assert answer.json()["check"].startswith(f"/rec/v1/erasures/{ANN}?")


@pytest.mark.parametrize("path", ["/v1/users/" + "x" * 129, "/v1/users/%00" + "x" * 128])
def test_an_id_that_no_event_can_have_is_refused(client: Any, producer: Any, path: str) -> None:
    """As with events."""
    answer = client.delete(path)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/user_id"
    assert not producer.sent


def test_without_kafka_nothing_is_promised(client: Any, producer: Any) -> None:
    """503, and no receipt."""
    producer.down = True
    answer = client.delete("/v1/users/ann")
    assert answer.status_code == 503
    assert "receipt" not in answer.text


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (ErasureState(0, None), 202),
        (ErasureState(7, NOW_MS - 1), 202),
        (ErasureState(8, NOW_MS), 200),
        (ErasureState(900, NOW_MS + 5), 200),
        (ErasureState(8, None), 404),
        (ErasureState(8, NOW_MS - 1), 404),
    ],
)
def test_a_receipt_can_be_checked(
    client: Any, erasures: Any, found: ErasureState, status: int
) -> None:
    """Not yet, done, or never: by the position, and by the time that stays forgotten."""
    erasures.states[PARTITION, ANN] = found
    where = {"partition": PARTITION, "offset": 7, "ts_ms": NOW_MS}
    answer = client.get(f"/v1/erasures/{ANN}", params=where)
    assert answer.status_code == status
    if status == 404:
        assert answer.headers["content-type"] == "application/problem+json"
    else:
        assert answer.json()["erased"] is (status == 200)
        assert answer.json()["position"] == found.position


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"partition": 4}, "/partition"), ({"offset": "x"}, "/offset"), ({"ts_ms": None}, "/ts_ms")],
)
def test_a_receipt_of_another_shape_is_refused(client: Any, change: Any, pointer: str) -> None:
    """The answer points at the field."""
    where = {"partition": 0, "offset": 7, "ts_ms": NOW_MS} | change
    answer = client.get(
        f"/v1/erasures/{ANN}", params={k: v for k, v in where.items() if v is not None}
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_without_redis_a_receipt_cannot_be_checked(client: Any, erasures: Any) -> None:
    """503: neither yes nor no."""
    erasures.down = True
    where = {"partition": 0, "offset": 7, "ts_ms": NOW_MS}
    assert client.get(f"/v1/erasures/{ANN}", params=where).status_code == 503


def test_a_receipt_names_what_remains_and_until_when(client: Any) -> None:
    """Each place that still knows the id, and its end where it has one."""
    remains = client.delete("/v1/users/ann").json()["remains"]
    ends = {each["place"]: each["until_ts_ms"] for each in remains}
    assert ends.pop("Redis, stream of changes") == NOW_MS + 600_000
    assert ends.pop("backups and snapshots of Redis and of Kafka's disks") is None
    topics = ("events", "slates", "dead-letters")
    assert ends == {f"Kafka topic test.{name}": NOW_MS + 1_000 for name in topics}


@pytest.mark.parametrize("ahead_ms", [-3_600_000, -1, 0, 299_999, 300_001, 3_600_000])
def test_a_proof_does_not_depend_on_our_clock(
    client: Any, producer: Any, erasures: Any, ahead_ms: int
) -> None:
    """The receipt says what the fold will write, whatever we take the time for."""
    producer.log_ts_ms = NOW_MS - ahead_ms
    receipt = client.delete("/v1/users/ann").json()
    erasure = decode_erasure(producer.sent[-1].value)
    until_ms = forgotten_until_ms(erasure, producer.log_ts_ms)
    assert receipt["ts_ms"] == until_ms
    assert client.get(receipt["check"]).status_code == 202
    erasures.states[PARTITION, ANN] = ErasureState(receipt["offset"] + 1, until_ms)
    proof = client.get(receipt["check"])
    assert (proof.status_code, proof.json()["erased"]) == (200, True)
