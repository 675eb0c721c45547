"""A person asks to be forgotten: gone from the state, for good, and the receipt proves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from freshet.commands.processes import Server
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.partition import partition_of
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]


def click(number: int, user: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "type": "click", "user_id": user, "item_id": f"i{number % 3}",
    } | fields  # fmt: skip


def test_an_erased_person_is_gone_and_stays_so(
    settings: Settings,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
    wait_until: Callable[..., None],
) -> None:
    """Through a loss of the whole state, and whatever is sent again; until something new is."""
    partitions = discover_partitions(settings)
    worker(settings)
    client = connect(settings.redis_url)
    reader = StateReader(client, settings.namespace, partitions)
    key = Keys(settings.namespace).users(partition_of("ann", partitions))
    with (
        httpx.Client(base_url=server(settings).url, timeout=10) as http,
        ProgressReader(settings, partitions) as progress,
    ):

        def send(*events: dict[str, Any]) -> None:
            answer = http.post("/v1/events", json=list(events))
            assert answer.status_code == 202, answer.text

        def applied() -> int:
            return int(progress.read("users").total("applied").sum())

        send(*(click(n, ("ann", "bob")[n % 2]) for n in range(10)))
        wait_until(lambda: applied() == 10 and progress.drained())
        items = reader.digest()["items"]
        assert b"ann" in client.hgetall(key)

        deleted = http.delete("/v1/users/ann")
        assert deleted.status_code == 202
        receipt = deleted.json()
        assert "ann" not in deleted.text
        wait_until(lambda: http.get(receipt["check"]).status_code == 200)
        assert http.get(receipt["check"]).json()["erased"] is True
        assert b"ann" not in client.hgetall(key)
        assert reader.user("bob") is not None
        assert reader.erased("ann") == receipt["ts_ms"]
        assert reader.digest()["items"] == items
        strange = receipt["check"].replace(receipt["user_hash"], "0" * 32)
        assert http.get(strange).status_code == 404

        before = reader.digest()
        client.flushall()
        assert http.get(receipt["check"]).status_code == 202
        # What comes now finds no position: the worker ends, and the next one reads all again.
        send(click(100, "ann", ts_ms=receipt["ts_ms"]))
        wait_until(lambda: applied() == 10 and progress.drained(), 60)
        assert reader.user("ann") is None
        assert http.get(receipt["check"]).status_code == 200
        totals = progress.read("users")
        assert (totals.total("erased").sum(), totals.total("erasures").sum()) == (1, 1)
        after = reader.digest()
        assert {name for name in before if before[name] != after[name]} == {"user_positions"}

        send(click(0, "ann", ts_ms=receipt["ts_ms"] - 5), click(1, "ann", ts_ms=receipt["ts_ms"]))
        wait_until(lambda: progress.read("users").total("erased").sum() == 3)
        assert reader.user("ann") is None
        send(click(101, "ann"))
        wait_until(lambda: reader.user("ann") is not None)
        user = reader.user("ann")
        assert user is not None
        assert user["type_counts"].sum() == 1
    client.close()
