"""The producer answers for every record."""

from __future__ import annotations

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer, Record
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

pytestmark = pytest.mark.services


async def test_every_record_has_its_answer(settings: Settings) -> None:
    """Kept is None, and what cannot be kept says why; the others are not harmed."""
    discover_partitions(settings)
    topic = Topics(settings.namespace).events
    producer = EventProducer(settings.kafka_bootstrap)
    records = [
        Record(topic, 0, b"k", b"v"),
        Record(topic, 999, b"k", b"v"),
        Record(topic, 1, None, b""),
    ]
    answers = await producer.deliver(records)
    assert answers[0] is None
    assert "partition" in str(answers[1]).lower()
    assert answers[2] is None
    assert await producer.deliver([]) == []
    producer.close()
    producer.close()


async def test_a_record_that_is_placed_has_an_offset(settings: Settings) -> None:
    """Its own, or an error that says why there is none."""
    discover_partitions(settings)
    topic = Topics(settings.namespace).events
    producer = EventProducer(settings.kafka_bootstrap)
    for offset in range(3):
        assert await producer.place(Record(topic, 2, b"k", b"v")) == offset
    assert await producer.place(Record(topic, 1, None, b"v")) == 0
    with pytest.raises(ServiceError, match="artition"):
        await producer.place(Record(topic, 999, b"k", b"v"))
    producer.close()
    away = EventProducer("127.0.0.1:1")
    with pytest.raises(ServiceError, match="no answer"):
        await away.place(Record("t", 0, None, b"v"), timeout_s=0.1)


def test_flush_raises_for_what_was_not_delivered(settings: Settings) -> None:
    """Once; then the producer goes on."""
    discover_partitions(settings)
    topic = Topics(settings.namespace).events
    producer = EventProducer(settings.kafka_bootstrap)
    producer.send(topic, 999, b"v")
    with pytest.raises(ServiceError, match="1 records not delivered"):
        producer.flush()
    producer.send(topic, 0, b"v")
    producer.flush()
    producer.close()


async def test_a_broker_that_is_away_is_told_in_time() -> None:
    """No answer is not an acknowledgement."""
    producer = EventProducer("127.0.0.1:1")
    [answer] = await producer.deliver([Record("t", 0, b"k", b"v")], timeout_s=0.2)
    assert answer == "no answer from Kafka within 0.2 s"
