"""The whole loop: a log through Kafka, Faust and Redis to a personalised list, each count exact.

The generated log always, and real film ratings where the data folder is there; on the embedded
broker with its Redis, and on Apache Kafka with the system's Redis 7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import msgspec
import pytest

from freshet.commands.demo_parts import play_log
from freshet.commands.processes import Server
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.recorded import read_events, read_items
from freshet.core.events.schema import EVENT_TYPES, TYPE_CODES, Event, Item, effective_type
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child
from online_models.artifacts.tiny import publish_tiny_bundle
from replay.audit import Ledger
from replay.feed_client import FeedClient
from replay.generated_log import write_log
from replay.probe import Probe
from replay.world import Plan
from serving.answer import Query

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

END_MS = 1_760_000_000_000
PROBES = 10


@dataclass(frozen=True)
class Log:
    """Events in order, and the catalogue."""

    events: list[Event]
    items: list[Item]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Log:
    plan = Plan(users=300, items=200, seed=5, end_ts_ms=END_MS)
    files = write_log(plan, tmp_path_factory.mktemp("log") / "films")
    return Log(list(read_events(files.events)), read_items(files.items))


@pytest.fixture(scope="module")
def movietweetings(data_dir: Path) -> Log:
    return Log(
        list(read_events(data_dir / "movietweetings-100k.events.jsonl.gz")),
        read_items(data_dir / "movietweetings-100k.items.jsonl.gz"),
    )


@pytest.fixture(params=["settings", pytest.param("kafka_settings", marks=pytest.mark.kafka)])
def installed(request: pytest.FixtureRequest) -> Settings:
    settings: Settings = request.getfixturevalue(request.param)
    # What is right here must not hang on how busy the machine is.
    return msgspec.structs.replace(settings, deadline_ms=10_000, redis_read_timeout_ms=5_000)


@pytest.fixture(params=["generated", "movietweetings"])
def log(request: pytest.FixtureRequest) -> Log:
    found: Log = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def feed(
    installed: Settings,
    log: Log,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
) -> Iterator[FeedClient]:
    """The log lived through, and a server with a model over it."""
    publish_tiny_bundle(Path(installed.models_dir), log.items)
    worker(installed)
    played = play_log(installed, log.events, log.items, total=len(log.events))
    assert played.events == len(log.events)
    with FeedClient(server(installed).url) as client:
        yield client


def test_every_count_is_exact_and_the_list_is_personal(
    installed: Settings, log: Log, feed: FeedClient
) -> None:
    """Users and items by type, the catalogue, and lists that a click changes."""
    partitions = discover_partitions(installed)
    reader = StateReader(connect(installed.redis_url), installed.namespace, partitions)
    ledger = Ledger()
    ledger.note(log.events)
    audit = ledger.audit(*reader.users())
    assert (audit.lost, audit.doubled, audit.applied) == (0, 0, len(log.events))
    assert _item_counts(reader) == Counter((e.item_id, _counts_as(e)) for e in log.events)
    assert sum(at["applied"] for at in reader.catalog_positions() if at) == len(log.items)

    newest_ms = max(event.ts_ms for event in log.events)
    probe = Probe(feed, ledger, lambda: newest_ms)
    for number in range(PROBES):
        probe.visit(number)
    assert probe.personalised > PROBES / 2

    offered = {item.item_id for item in log.items}
    for user in [event.user_id for event in islice(log.events, 5)]:
        answer = feed.recommend(Query(user=user, k=20))
        shown = [item.item_id for item in answer.items]
        assert len(set(shown)) == len(shown) == 20
        assert set(shown) <= offered
        assert all(0 < item.propensity <= 1 for item in answer.items)
        assert answer.as_of is not None
        assert answer.quality == "full"
        newest = [e.item_id for e in log.events if e.user_id == user and e.type != "impression"]
        assert not set(shown) & set(newest[-50:])


def test_an_item_comes_and_goes(
    settings: Settings,
    generated: Log,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
    wait_until: Callable[..., None],
) -> None:
    """PUT makes an item recommendable, DELETE takes it out, and an unknown one is only counted."""
    worker(settings)
    play_log(settings, generated.events[:5000], generated.items, total=5000)
    running = server(settings)
    with httpx.Client(base_url=running.url) as client:

        def shown() -> set[str]:
            body = {"user": "somebody", "k": 100, "categories": ["brand-new"]}
            answer = client.post("/v1/recommendations", json=body)
            return {item["item_id"] for item in answer.json().get("items", [])}

        entry = {"title": "A new film", "categories": ["brand-new"]}
        assert client.put("/v1/items/new-film", json=entry).status_code == 202
        wait_until(lambda: "new-film" in shown(), 10, "the new item is recommended")
        assert client.delete("/v1/items/new-film").status_code == 202
        wait_until(lambda: "new-film" not in shown(), 10, "the item is gone")

        unknown = {
            "type": "click",
            "user_id": "somebody",
            "item_id": "nobody-knows",
            "event_id": "x1",
        }
        assert client.post("/v1/events", json=unknown).status_code == 202
        answer = client.get(
            "/v1/recommendations", params={"user": "somebody", "k": 100, "after": "x1"}
        )
        assert answer.json()["consistent"] is True
        assert "nobody-knows" not in {item["item_id"] for item in answer.json()["items"]}
        reader = StateReader(
            connect(settings.redis_url),
            settings.namespace,
            discover_partitions(settings),
        )
        wait_until(lambda: reader.item("nobody-knows") is not None, 10, "it is counted")


def _counts_as(event: Event) -> str:
    code = effective_type(TYPE_CODES[event.type], event.value, Settings().low_rating)
    return EVENT_TYPES[code]


def _item_counts(reader: StateReader) -> Counter[tuple[str, str]]:
    ids, records = reader.items()
    return Counter(
        {
            (item_id, kind): int(count)
            for item_id, record in zip(ids, records, strict=True)
            for kind, count in zip(EVENT_TYPES, record["type_counts"], strict=True)
            if count
        }
    )
