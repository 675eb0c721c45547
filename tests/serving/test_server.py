"""The serving process: it starts, follows, answers through failures, and ends when asked to."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import msgspec
import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import CLICK, Item
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys
from freshet.core.state.records import unpack_users
from streams.user_packing import pack_users

pytestmark = pytest.mark.services

P = 4  # of the embedded broker


@pytest.fixture
def offer(settings: Any) -> Callable[..., None]:
    """`offer("a", "b")` writes catalogue entries as the worker would."""
    keys = Keys(settings.namespace)

    def write(*item_ids: str) -> None:
        with connect(settings.redis_url) as client:
            for item_id in item_ids:
                entry = encode(Item(item_id=item_id, title=f"Title {item_id}"))
                client.hset(keys.catalog(partition_of(item_id, P)), item_id, entry)

    return write


def test_the_process_prints_its_address_answers_and_ends_on_sigterm(
    server: Any, settings: Any, offer: Any, wait_until: Any
) -> None:
    """One line with the real port, answers, and code 0 within seconds, sockets open or not."""
    offer("a", "b", "c")
    running = server(settings)
    (url,) = re.findall(r"freshet serves at (http://\S+)", running.child.log.read_text())
    assert url == running.url
    body = httpx.get(f"{url}/v1/recommendations?user=ann").json()
    assert {item["item_id"] for item in body["items"]} == {"a", "b", "c"}
    assert "model" in body["degraded"]
    with websockets.sync.client.connect(f"{url.replace('http', 'ws')}/v1/feed") as socket:
        socket.send(json.dumps({"user": "ann"}))
        assert json.loads(socket.recv())["type"] == "snapshot"
        running.child.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
    assert running.child.process.wait(10) == 0


def test_events_are_acknowledged_by_a_real_broker(server: Any, settings: Any) -> None:
    """202 after the ack; an item too."""
    url = server(settings).url
    event = {"type": "click", "user_id": "ann", "item_id": "a"}
    assert httpx.post(f"{url}/v1/events", json=[event] * 50).json()["accepted"] == 50
    assert httpx.put(f"{url}/v1/items/a", json={"title": "A"}).status_code == 202


def test_it_starts_without_kafka_and_answers_from_redis(
    server: Any, settings: Any, offer: Any
) -> None:
    """Ready for lists; says what is missing; events are refused with when to come again."""
    offer("a", "b", "c")
    with connect(settings.redis_url) as client:
        client.hset(Keys(settings.namespace).meta, mapping={"layout": "3", "partitions": P})
    away = msgspec.structs.replace(settings, kafka_bootstrap="127.0.0.1:1")
    url = server(away).url
    assert httpx.get(f"{url}/readyz").json()["missing"] == ["kafka"]
    body = httpx.get(f"{url}/v1/recommendations?user=ann").json()
    assert {item["item_id"] for item in body["items"]} == {"a", "b", "c"}
    assert "kafka" in body["degraded"]
    event = {"type": "click", "user_id": "ann", "item_id": "a"}
    refused = httpx.post(f"{url}/v1/events", json=event)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "does not answer" in refused.json()["detail"]


def test_it_starts_without_redis_and_comes_whole_by_itself(
    server: Any, settings: Any, offer: Any, redis_server: Any, wait_until: Any
) -> None:
    """Events are taken, lists are not made of nothing; then Redis comes."""
    redis_server.kill()
    url = server(settings, wait_until_ready=False).url
    event = {"type": "click", "user_id": "ann", "item_id": "a"}
    wait_until(lambda: httpx.post(f"{url}/v1/events", json=event).status_code == 202)
    assert httpx.get(f"{url}/livez").json()["missing"] == ["redis"]
    assert httpx.get(f"{url}/readyz").status_code == 503
    assert httpx.get(f"{url}/v1/recommendations?user=ann").status_code == 503
    redis_server.start()
    offer("a")
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    assert httpx.get(f"{url}/v1/recommendations?user=ann").json()["items"]


def test_answers_go_on_while_redis_is_away(
    server: Any, settings: Any, offer: Any, redis_server: Any, wait_until: Any
) -> None:
    """Degraded and said so; not ready; whole again when Redis is back."""
    offer("a", "b", "c")
    url = server(settings).url

    def degraded() -> list[str]:
        response = httpx.get(f"{url}/v1/recommendations?user=ann")
        assert response.status_code == 200
        words: list[str] = response.json()["degraded"]
        return words

    assert degraded() == ["model"]
    redis_server.kill()
    wait_until(lambda: {"user_state", "item_state"} <= set(degraded()))
    assert httpx.get(f"{url}/readyz").status_code == 503
    redis_server.start()
    offer("a")
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    wait_until(lambda: degraded() == ["model"])


def test_events_that_no_worker_applies_make_lists_say_so(
    server: Any, worker: Any, settings: Any, offer: Any, wait_until: Any
) -> None:
    """Ready all the same; and whole again when a worker has applied them."""
    offer("a", "b", "c")
    url = server(settings).url

    def degraded() -> list[str]:
        response = httpx.get(f"{url}/v1/recommendations?user=ann&impressions=client")
        words: list[str] = response.json()["degraded"]
        return words

    assert degraded() == ["model"]
    event = {"type": "click", "user_id": "ann", "item_id": "a"}
    assert httpx.post(f"{url}/v1/events", json=[event] * 50).json()["accepted"] == 50
    wait_until(lambda: degraded() == ["state_behind", "model"])
    ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, ready.json()["degraded"]) == (200, ["state_behind"])
    worker(settings)
    wait_until(lambda: degraded() == ["model"])
    assert httpx.get(f"{url}/readyz").json()["degraded"] == []


def test_every_change_reaches_its_feeds_through_pauses_of_redis(
    server: Any, settings: Any, offer: Any
) -> None:
    """Whole in the end, in each of many feeds; and the bug of one pause is none for the others."""
    offer("a", "b", "c")
    url = server(settings).url.replace("http", "ws")
    users = [f"user-{number}" for number in range(20)]
    with ExitStack() as stack:
        redis = stack.enter_context(connect(settings.redis_url))
        feeds = []
        for user in users:
            feeds.append(stack.enter_context(websockets.sync.client.connect(f"{url}/v1/feed")))
            feeds[-1].send(json.dumps({"user": user}))
            assert json.loads(feeds[-1].recv())["seq"] == 0
        for clicks in range(1, 6):
            for user in users:
                _apply_clicks(redis, settings.namespace, user, clicks)
            redis.client_pause(60, all=True)
        for feed in feeds:
            applied, words = 0, ["user_state"]
            while applied < 5 or "user_state" in words:
                answer = json.loads(feed.recv(timeout=20))["answer"]
                as_of, words = answer["as_of"], answer["degraded"]
                applied = as_of["applied"] if as_of else 0  # not read before the pause


def _apply_clicks(redis: Any, namespace: str, user: str, clicks: int) -> None:
    """Write a user and the notice of it together, as the worker would."""
    keys, partition = Keys(namespace), partition_of(user, P)
    users = unpack_users([None])
    users["type_counts"][0, CLICK] = clicks
    transaction = redis.pipeline(transaction=True)
    transaction.hset(keys.users(partition), user, pack_users(users).joined)
    transaction.xadd(keys.user_changes(partition), {"users": msgspec.msgpack.encode([user])})
    transaction.execute()
