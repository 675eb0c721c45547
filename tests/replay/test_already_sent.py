"""What a log has of a replay: events by their names, never control records."""

from collections.abc import Callable

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import cluster_id, discover_partitions, max_record_bytes
from freshet.core.events.codec import encode
from freshet.core.events.control import Erasure, Heartbeat, encode_control
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topic_log import Bounds
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from replay import already_sent
from replay.already_sent import count_events, events_behind

T = 1_764_000_000_000


@pytest.mark.parametrize(
    ("found", "whole"),
    [(Bounds(0, 5), True), (Bounds(5, 5), True), (Bounds(0, 9), True),
     (Bounds(6, 9), False), (Bounds(0, 4), False)],
)  # fmt: skip
def test_a_log_that_is_another_or_dropped_records_is_refused(found: Bounds, whole: bool) -> None:
    """What was sent cannot be known from it."""
    if whole:
        assert already_sent._behind(0, 5, found) == Bounds(5, found.end)
        return
    with pytest.raises(ServiceError, match="had come to 5"):
        already_sent._behind(0, 5, found)


@pytest.fixture
def send(settings: Settings) -> Callable[..., None]:
    """`send(*values)` puts records into partition 0 of the events."""

    def put(*values: bytes) -> None:
        producer = EventProducer(settings.kafka_bootstrap)
        for value in values:
            producer.send(Topics(settings.namespace).events, 0, value)
        producer.flush()
        producer.close()

    return put


def _event(number: int) -> bytes:
    return encode(Event(event_id=f"e{number}", type="view", user_id="u", item_id="i", ts_ms=T))


@pytest.mark.services
def test_heartbeats_and_erasures_are_no_events(
    settings: Settings, send: Callable[..., None]
) -> None:
    """A namespace in which nothing happened is free, however long it has been up."""
    partitions = discover_partitions(settings)
    beats = [encode_control(Heartbeat(T + n)) for n in range(16)]
    with ProgressReader(settings, partitions) as reader:
        assert count_events(settings, reader) == 0
        send(*beats, encode_control(Erasure(erase="u", ts_ms=T)))
        assert count_events(settings, reader) == 0
        send(beats[0], _event(1), beats[1], _event(2))
        assert count_events(settings, reader) == 2
    assert cluster_id(settings)
    assert max_record_bytes(settings) > 100_000


@pytest.mark.services
def test_what_came_behind_a_checkpoint_is_known_by_name(
    settings: Settings, send: Callable[..., None]
) -> None:
    """Others' records that cannot be read are passed over."""
    partitions = discover_partitions(settings)
    send(_event(1))
    ends = [1] + [0] * (partitions - 1)
    assert events_behind(settings, ends) == set()
    send(_event(2), b"{", encode_control(Heartbeat(T)), _event(3))
    assert events_behind(settings, ends) == {("u", "e2"), ("u", "e3")}
