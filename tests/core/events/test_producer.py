"""The producer answers for every record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

pytestmark = pytest.mark.services


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic of the embedded broker."""
    discover_partitions(settings)
    return Topics(settings.namespace).events


@pytest.fixture
def producer(settings: Settings) -> Iterator[EventProducer]:
    """A producer to the embedded broker."""
    with closing(EventProducer(settings.kafka_bootstrap)) as producer:
        yield producer


@pytest.fixture
def away() -> Iterator[EventProducer]:
    """A producer to a broker that is not there."""
    producer = EventProducer("127.0.0.1:1")
    yield producer
    producer.close(timeout_s=0)


async def test_every_record_has_its_answer(producer: EventProducer, topic: str) -> None:
    """Kept is None, and what cannot be kept says why; the others are not harmed."""
    records = [
        Record(topic, 0, b"k", b"v"),
        Record(topic, 999, b"k", b"v"),
        Record(topic, 1, None, b""),
    ]
    for _ in range(2):  # the second time the client knows the topic, and refuses at once
        answers = await producer.deliver(records)
        assert answers[0] is None
        assert "partition" in str(answers[1]).lower()
        assert answers[2] is None
    assert await producer.deliver([]) == []


async def test_a_record_that_is_placed_has_an_offset(producer: EventProducer, topic: str) -> None:
    """Its own, or an error that says why there is none."""
    for offset in range(3):
        placed = await producer.place(Record(topic, 2, b"k", b"v"))
        assert placed.offset == offset
    assert (await producer.place(Record(topic, 1, None, b"v"))).offset == 0
    with pytest.raises(ServiceError, match="artition"):
        await producer.place(Record(topic, 999, b"k", b"v"))


def test_what_was_not_delivered_is_raised(producer: EventProducer, topic: str) -> None:
    """Once, by the flush or, when the client has learned the topic by then, by the send."""

    def send_and_flush() -> None:
        producer.send(topic, 999, b"v")
        producer.flush()

    with pytest.raises(ServiceError, match=r"1 records not delivered|UNKNOWN_PARTITION"):
        send_and_flush()
    producer.send(topic, 0, b"v")
    producer.flush()
    with pytest.raises(ServiceError, match="UNKNOWN_PARTITION"):
        producer.send(topic, 999, b"v")


def test_flush_raises_for_what_failed_before(away: EventProducer) -> None:
    """Once; what is still queued counts too."""
    away._note_failure("gone", None)
    away.send("t", 0, b"v")
    with pytest.raises(ServiceError, match="2 records not delivered: gone"):
        away.flush(timeout_s=0)
    with pytest.raises(ServiceError, match="1 records not delivered: no answer within 0 s"):
        away.flush(timeout_s=0)


async def test_a_broker_that_is_away_is_told_in_time(away: EventProducer) -> None:
    """No answer is not an acknowledgement."""
    record = Record("t", 0, b"k", b"v")
    assert await away.deliver([record], timeout_s=0.2) == ["no answer from Kafka within 0.2 s"]
    with pytest.raises(ServiceError, match="no answer"):
        await away.place(record, timeout_s=0.1)


def test_closing_delivers_what_is_queued(producer: EventProducer, topic: str) -> None:
    """Once; to close again does nothing."""
    errors: list[object] = []
    producer.send(topic, 0, b"v", on_delivery=lambda error, _: errors.append(error))
    producer.close()
    producer.close()
    assert errors == [None]


def test_closing_gives_up_what_no_broker_takes(away: EventProducer) -> None:
    """Whoever asked is told, and nothing goes on in the background."""
    errors: list[str] = []
    for _ in range(3):
        away.send("t", 0, b"v", on_delivery=lambda error, _: errors.append(error.name()))
    away.close(timeout_s=0)
    assert errors == ["_PURGE_QUEUE"] * 3
    assert not away._poller.is_alive()


async def test_what_waits_is_known_in_bytes(away: EventProducer) -> None:
    """Keys and values, also of records whose caller waits no longer, until they are given up."""
    records = [Record("t", 0, b"key", b"value"), Record("t", 0, None, None)]
    answers = await away.deliver(records, 0.01)
    assert all("no answer" in str(why) for why in answers)
    assert away.waiting_bytes == 8
    with pytest.raises(ServiceError):
        await away.place(Record("t", 1, b"k", b"v"), 0.01)
    assert away.waiting_bytes == 10
    assert not away.is_reachable("t", 0.1)
    away.close(timeout_s=0)
    assert away.waiting_bytes == 0


async def test_what_is_acknowledged_or_refused_does_not_wait(
    producer: EventProducer, topic: str
) -> None:
    """Nothing is left."""
    await producer.deliver([Record(topic, 0, b"k", b"v"), Record(topic, 999, b"k", b"v")])
    await producer.place(Record(topic, 0, b"k", b"v"))
    assert producer.waiting_bytes == 0
    assert producer.is_reachable(topic, 5.0)
