"""From what people did to the next bundle, and the next: the log in Kafka is learned from whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.control import Erasure, Heartbeat, encode_control
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings, environment_of
from online_models.artifacts.registry import Registry
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.targets.kafka import KafkaTarget
from replay.world import Plan

pytestmark = [pytest.mark.services, pytest.mark.training, pytest.mark.timeout(240)]

PLAN = Plan(users=100, items=60, days=3.0)
LATER = 20  # events that come after the first training


@pytest.fixture
def past(settings: Settings) -> list[Event]:
    """What people did: all but the last of it is in Kafka, with the catalogue."""
    world, rows = generate(PLAN)
    events = list(to_events(PLAN, rows))
    send(settings, events[:-LATER], world)
    return events


def send(settings: Settings, events: list[Event], world: Any = None) -> None:
    """Put events into Kafka, and the catalogue of a world."""
    partitions = discover_partitions(settings)
    with closing(KafkaTarget(settings.kafka_bootstrap, settings.namespace, partitions)) as target:
        if world is not None:
            target.put_items(list(to_items(PLAN, world)))
        target.send(events)
        target.flush()


def erase(settings: Settings, event: Event) -> None:
    """Erase the person of an event, and send what is no event."""
    topic, where = Topics(settings.namespace).events, partition_of(event.user_id, 4)
    with closing(EventProducer(settings.kafka_bootstrap)) as producer:
        wish = Erasure(erase=event.user_id, ts_ms=event.ts_ms)
        for value in (encode_control(wish), encode_control(Heartbeat(event.ts_ms)), b"poison"):
            producer.send(topic, where, value)
        producer.flush()


@pytest.fixture
def retraining(settings: Settings, past: list[Event]) -> Iterator[subprocess.Popen[str]]:
    """`freshet train --every`, which ends with the test."""
    command = [sys.executable, "-m", "freshet.commands.main", "train", "--every", "1s"]
    process = subprocess.Popen(
        [*command, "--quick", "--epochs", "1", "--json"],
        env=os.environ | environment_of(settings),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_it_trains_on_what_kafka_has_until_it_is_stopped(
    settings: Settings, past: list[Event], retraining: subprocess.Popen[str]
) -> None:
    """Each time on what came meanwhile too, and on nothing of who was erased meanwhile."""
    assert retraining.stdout is not None
    first = json.loads(retraining.stdout.readline())
    assert first["events"] == len(past) - LATER, first
    [(most_active, _)] = Counter(event.user_id for event in past).most_common(1)
    erase(settings, [event for event in past if event.user_id == most_active][-1])
    others = sum(event.user_id != most_active for event in past)
    send(settings, past[-LATER:])

    told = [first]
    while told[-1]["events"] != others:  # one may have begun before
        told.append(json.loads(retraining.stdout.readline()))
        assert len(told) <= 3, told
    retraining.terminate()
    _, errors = retraining.communicate(timeout=60)
    assert (retraining.returncode, errors) == (0, "")

    registry = Registry(settings.models_dir)
    current = registry.current()
    assert current is not None
    registry.load(current)
    assert registry.versions() == sorted(each["version"] for each in told)
    users = registry.manifest(current).metrics["log"]["users"]
    assert users == len({event.user_id for event in past} - {most_active})
    assert told[-1]["figures_before"] == told[-2]["figures"]
    assert not list(Path(settings.models_dir).glob(".staging-*"))


def test_it_fails_and_goes_on_while_there_is_too_little(settings: Settings) -> None:
    """Nothing is published; a first event is no reason to end."""
    discover_partitions(settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "freshet.commands.main", "train", "--every", "1s", "--json"],
        env=os.environ | environment_of(settings),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert [each["failed"] for each in told] == [1, 2]
    assert all("the log holds 0 clicks" in each["reason"] for each in told)
    assert Registry(settings.models_dir).current() is None
