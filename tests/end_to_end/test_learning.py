"""From an answer to the next ranker: clicks are joined once each, and then learned from."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from freshet.commands.demo_parts import play_log
from freshet.commands.processes import Server
from freshet.core.clock import system_clock
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.example_log import ExampleLog
from freshet.core.events.examples import Example, encode_example
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import TYPE_CODES, Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of
from freshet.embedded.child import Child
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from online_models.features import FEATURE_SCHEMA, FEATURES
from replay.feed_client import FeedClient
from serving.answer import Query

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

ITEMS = tiny_items(60)
USERS = [f"user-{number}" for number in range(24)]
K = 8


def click(user: str, item_id: str, request_id: str | None = None) -> Event:
    return Event(
        event_id=f"{user}-{request_id}-{item_id}",
        type="click",
        user_id=user,
        item_id=item_id,
        ts_ms=system_clock(),
        request_id=request_id,
    )


@pytest.fixture
def joining(settings: Settings) -> Settings:
    """Answers wait for seconds, and time goes on where nothing happens."""
    return msgspec.structs.replace(settings, join_window_s=4, heartbeat_s=0.2)


def test_every_answer_is_joined_once_though_the_worker_is_killed(
    joining: Settings,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
    wait_until: Callable[..., None],
) -> None:
    """What was clicked is clicked, what was shown is shown, and what nobody saw does not appear."""
    publish_tiny_bundle(Path(joining.models_dir), ITEMS)
    supervisor = worker(joining)
    first = [click(user, f"item-{row}") for row, user in enumerate(USERS)]
    play_log(joining, first, ITEMS, total=len(first))
    clicked: dict[str, str] = {}
    unseen = set()
    with FeedClient(server(joining).url) as client:
        for row, user in enumerate(USERS):
            seen = client.recommend(Query(user=user, k=K))
            clicked[seen.request_id] = item = seen.items[row % K].item_id
            client.send([click(user, item, seen.request_id)])
            hidden = client.recommend(Query(user=user, k=K, impressions="client"))
            unseen.add(hidden.request_id)
    for process in psutil.Process(supervisor.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    found: dict[str, Example] = {}
    with ExampleLog(joining, discover_partitions(joining)) as log:
        last: dict[int, tuple[int, int]] = {}

        def all_came() -> bool:
            for partition, _, example in log.poll(0.1):
                if example.name > last.get(partition, (-1, -1)):
                    last[partition] = example.name
                    assert example.request_id not in found
                    found[example.request_id] = example
            return len(found) >= len(clicked)

        wait_until(all_came, 60, "every answer became an example")
        wait_until(lambda: log.poll(0.1) == [], 10)
    assert found.keys() == clicked.keys()
    assert not found.keys() & unseen
    for request_id, example in found.items():
        assert example.had("impression").all()
        assert example.examined().all()
        hits = np.array(example.item_ids)[example.had("click")]
        assert hits.tolist() == [clicked[request_id]]
        assert example.feature_schema == FEATURE_SCHEMA
        assert example.column("features").shape == (K, len(FEATURES))
        assert ((example.column("propensities") > 0) & (example.column("propensities") <= 1)).all()


def invented(number: int, version: str) -> Example:
    """An answer in which one feature decides what is clicked."""
    rng = np.random.default_rng(number)
    features = rng.normal(size=(K, len(FEATURES))).astype("<f2")
    odds = 2.0 * features[:, FEATURES.index("momentum_z")].astype(np.float64) - 1
    bits = 1 + (rng.random(K) < 1 / (1 + np.exp(-odds))) * (1 << TYPE_CODES["click"])
    return Example(
        request_id=f"r{number}",
        ts_ms=1_760_000_000_000 + number,
        policy="p",
        model_version=version,
        feature_schema=FEATURE_SCHEMA,
        item_ids=[f"item-{row}" for row in range(K)],
        positions=np.arange(K).astype("<u2").tobytes(),
        propensities=np.ones(K, "<f4").tobytes(),
        explored=np.zeros(K, "?").tobytes(),
        features=features.tobytes(),
        responses=bits.astype("<u2").tobytes(),
        dwell_s=np.zeros(K, "<f4").tobytes(),
        record=number,
    )


@pytest.fixture
def base(settings: Settings) -> str:
    """The bundle in use."""
    return publish_tiny_bundle(Path(settings.models_dir), ITEMS)


@pytest.fixture
def examples(settings: Settings, base: str) -> Iterator[None]:
    """Two thousand examples in the log."""
    partitions = discover_partitions(settings)
    producer = EventProducer(settings.kafka_bootstrap)
    for number in range(2_000):
        topic = Topics(settings.namespace).examples
        producer.send(topic, number % partitions, encode_example(invented(number, base)))
    producer.flush()
    yield
    producer.close()


@pytest.mark.training
@pytest.mark.usefixtures("examples")
def test_the_command_learns_publishes_and_goes_on(settings: Settings, base: str) -> None:
    """Two lives of `freshet train --follow`: the second reads on where the first stopped.

    Each judges a candidate in the end.
    """
    decisions = [
        json.loads(line)
        for learned in (1_200, 700)
        for line in followed(settings, "--publish-every", "1000", "--stop-after", str(learned))
    ]
    published = [each for each in decisions if each["event"] == "published"]
    assert published, decisions
    registry = Registry(settings.models_dir)
    assert registry.current() == published[-1]["version"]
    assert registry.manifest(published[0]["version"]).parent == base
    registry.load(published[-1]["version"])
    learned = [each["examples"] for each in decisions]
    assert learned == [1_000, 1_200, 1_904]  # a mini-batch is not cut


def followed(settings: Settings, *options: str) -> list[str]:
    """What one life of the command prints."""
    command = [sys.executable, "-m", "freshet.commands.main", "train", "--follow", "--json"]
    ended = subprocess.run(
        [*command, *options],
        env=os.environ | environment_of(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()
