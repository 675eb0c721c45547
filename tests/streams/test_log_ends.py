"""The ends of logs, on a real broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.embedded.broker import EmbeddedBroker
from streams import log_ends
from streams.log_ends import LogEnds

pytestmark = pytest.mark.services


@pytest.fixture
def topics(settings: Settings) -> Topics:
    discover_partitions(settings)
    return Topics(settings.namespace)


@pytest.fixture
def ends(settings: Settings, topics: Topics) -> LogEnds:
    return LogEnds(settings.kafka_bootstrap, {"users": topics.events, "items": topics.item_deltas})


@pytest.fixture
def producer(settings: Settings) -> Iterator[EventProducer]:
    producer = EventProducer(settings.kafka_bootstrap)
    yield producer
    producer.close()


def test_the_end_is_what_the_next_record_gets(
    ends: LogEnds, topics: Topics, producer: EventProducer
) -> None:
    """Of just the partitions asked for, of any topic."""
    for _ in range(3):
        producer.send(topics.events, 1, b"x")
    producer.flush()
    asked = [("users", 0), ("users", 1), ("items", 1)]
    assert ends.read(asked) == {("users", 0): 0, ("users", 1): 3, ("items", 1): 0}


def test_no_partitions_still_tell_that_a_broker_is_there(ends: LogEnds) -> None:
    """A worker without any may be the only one that notices."""
    assert ends.read([]) == {("users", 0): 0}


def test_the_next_record_is_read_from_the_log_itself(
    ends: LogEnds, topics: Topics, producer: EventProducer
) -> None:
    """At the offset, and none at the end."""
    producer.send(topics.events, 2, b"x")
    producer.send(topics.events, 2, b"y")
    producer.flush()
    assert ends.next_record(("users", 2), 0) == 0
    assert ends.next_record(("users", 2), 1) == 1
    assert ends.next_record(("users", 2), 2) is None


def test_a_frozen_broker_answers_nothing(
    monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    """Within the time of the request; it answers again when it wakes."""
    monkeypatch.setattr(log_ends, "REQUEST_S", 1.0)
    with EmbeddedBroker() as broker:
        discover_partitions(Settings(namespace="frozen", kafka_bootstrap=broker.bootstrap))
        ends = LogEnds(broker.bootstrap, {"users": Topics("frozen").events})
        wait_until(lambda: ends.read([("users", 0)]) == {("users", 0): 0})
        broker.child.freeze()
        try:
            assert ends.read([("users", 0)]) == {}
        finally:
            broker.child.thaw()
        wait_until(lambda: ends.read([("users", 0)]) == {("users", 0): 0})
