"""Reading the dead letters of a real broker."""

from collections.abc import Iterator

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.dead_letter import DeadLetter, Origin
from freshet.core.events.dead_letter_log import DeadLetterLog
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

pytestmark = pytest.mark.services


def letter(partition: int, offset: int) -> DeadLetter:
    """A letter of a record that stood there."""
    return DeadLetter(Origin("t", partition, offset), "invalid", "", b"k", b"v")


def write(producer: EventProducer, settings: Settings, letters: list[DeadLetter]) -> None:
    """Put letters on their topic and wait until they are kept."""
    for each in letters:
        producer.send_record(each.record(Topics(settings.namespace).dead_letters))
    producer.flush()


@pytest.fixture
def producer(settings: Settings) -> Iterator[EventProducer]:
    """A way to the broker."""
    producer = EventProducer(settings.kafka_bootstrap)
    yield producer
    producer.close()


@pytest.fixture
def log(settings: Settings) -> Iterator[DeadLetterLog]:
    """The dead letters of an installation that has none yet."""
    with DeadLetterLog(settings, discover_partitions(settings)) as log:
        yield log


def test_no_letters_are_read_at_once(log: DeadLetterLog) -> None:
    """Nothing is waited for."""
    assert list(log.letters()) == []
    assert list(log.letters(0)) == []


def test_letters_are_read_again_and_again(
    log: DeadLetterLog, settings: Settings, producer: EventProducer
) -> None:
    """All of them, or those of one partition, in their order."""
    written = [letter(n % 3, n) for n in range(30)]
    write(producer, settings, written)
    for _ in range(2):
        assert sorted(each.origin for each in log.letters()) == sorted(
            each.origin for each in written
        )
    assert [each.origin.offset for each in log.letters(1)] == list(range(1, 30, 3))
    assert min(each.ts_ms for each in log.letters()) > 0


def test_what_comes_while_it_is_read_is_left_alone(
    log: DeadLetterLog, settings: Settings, producer: EventProducer
) -> None:
    """So that a letter for every letter ends."""
    write(producer, settings, [letter(0, 0), letter(0, 1)])
    seen = []
    for each in log.letters():
        seen.append(each.origin.offset)
        write(producer, settings, [letter(0, each.origin.offset + 100)])
    assert seen == [0, 1]
    assert [each.origin.offset for each in log.letters()] == [0, 1, 100, 101]


def test_what_is_no_letter_is_counted(
    log: DeadLetterLog, settings: Settings, producer: EventProducer
) -> None:
    """And harms no other."""
    producer.send(Topics(settings.namespace).dead_letters, 0, b"junk")
    write(producer, settings, [letter(0, 7)])
    assert [each.origin.offset for each in log.letters()] == [7]
    assert log.strange == 1


def test_no_broker_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon."""
    monkeypatch.setattr("freshet.core.events.topic_log.REQUEST_S", 0.2)
    away = Settings(kafka_bootstrap="127.0.0.1:1")
    with DeadLetterLog(away, 1) as log, pytest.raises(ServiceError, match=r"dead-letters\[0\]"):
        list(log.letters())
