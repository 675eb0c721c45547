"""Dead letters sent again: where each belongs, which cannot go, and that none goes twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from freshet.commands.redelivery import RECEIPT_EVERY, again, redeliver, waiting
from freshet.core.errors import EventError, ServiceError
from freshet.core.events.dead_letter import DeadLetter, Origin, read_letter
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.topics import Topics

TOPICS = Topics("freshet")
PARTITIONS = 8
ALICE = b'{"type": "hover", "user_id": "alice"}'


class MemoryLog:
    """The dead-letter topic as a list: what is written while it is read comes with the next."""

    def __init__(self, letters: Sequence[DeadLetter] = ()) -> None:
        self.written = list(letters)
        self.strange = 0

    def letters(self, partition: int | None = None) -> Iterator[DeadLetter]:
        yield from tuple(self.written)


class MemoryProducer:
    """Writes receipts back to the log, keeps the rest, and may refuse to acknowledge."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.sent: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.failing = False

    def send_record(self, record: Record) -> None:
        topic, partition, key, value, headers = record
        if topic == TOPICS.dead_letters:
            self.log.written.append(read_letter(value, headers, 0))
        else:
            self.sent.append((topic, partition, key, value))

    def flush(self) -> None:
        if self.failing:
            raise ServiceError("kafka", "away")


def letter(
    offset: int = 0,
    *,
    topic: str = TOPICS.events,
    key: bytes | None = b"alice",
    value: bytes | None = ALICE,
    reason: str = "unknown_type",
    cut: dict[str, int] | None = None,
) -> DeadLetter:
    """A letter from partition 3."""
    return DeadLetter(Origin(topic, 3, offset), reason, "", key, value, cut or {})


def run(log: MemoryLog, producer: MemoryProducer | None, reason: str | None = None) -> Any:
    """Send again what has a reason, or everything."""
    found: Any = producer
    source: Any = log
    return redeliver(source, found, TOPICS, PARTITIONS, lambda each: reason in (None, each.reason))


@pytest.mark.parametrize(
    ("found", "partition"),
    [
        (letter(), partition_of("alice", PARTITIONS)),
        (letter(key=None), partition_of("alice", PARTITIONS)),
        (letter(key=b"bob"), partition_of("alice", PARTITIONS)),
        (letter(value=b"{bad"), partition_of("alice", PARTITIONS)),
        (letter(value=None), partition_of("alice", PARTITIONS)),
        (letter(value=b"[" * 100_000), partition_of("alice", PARTITIONS)),
        (letter(value=b'{"user_id": 7}', key=None), 3),
        (letter(value=None, key=None), 3),
        (letter(value=b"\xff", key=b""), 3),
        (letter(topic=TOPICS.catalog, key=b"i1"), partition_of("i1", PARTITIONS)),
        (letter(topic=TOPICS.catalog, key=None), 3),
    ],
)
def test_a_record_goes_where_its_fold_looks_for_it(found: DeadLetter, partition: int) -> None:
    """By user id, else by key, else where it was; key and value are its own."""
    record = again(found, TOPICS, PARTITIONS)
    assert (record.topic, record.partition) == (found.origin.topic, partition)
    assert (record.key, record.value) == (found.key, found.value)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (letter(cut={"value": 90_000}), r"its value had 90,000 bytes, of which the letter carries"),
        (letter(cut={"key": 5_000}), "its key had 5,000 bytes"),
        (letter(topic=TOPICS.item_deltas), "not taken twice"),
        (letter(topic=TOPICS.dead_letters), "not taken twice"),
        (letter(topic="other.events"), "not taken twice"),
    ],
)
def test_what_cannot_go_is_refused_and_harms_no_other(found: DeadLetter, why: str) -> None:
    """With a sentence; it is refused the next time too."""
    log = MemoryLog([found, letter(1)])
    producer = MemoryProducer(log)
    for sent in (1, 0):
        outcome = run(log, producer)
        assert outcome.sent.total() == sent
        [(origin, sentence)] = outcome.refused
        assert origin == found.origin
        assert why in sentence
    with pytest.raises(EventError, match=why):
        again(found, TOPICS, PARTITIONS)


def test_no_letters_are_no_work() -> None:
    """And no error."""
    log = MemoryLog()
    assert run(log, MemoryProducer(log)).sent.total() == 0


def test_what_was_sent_is_not_sent_again() -> None:
    """A letter that is there twice goes once, and the next replay sends only what is new."""
    log = MemoryLog([letter(1), letter(2), letter(1)])
    producer = MemoryProducer(log)
    assert run(log, producer).sent == {"unknown_type": 2}
    assert run(log, producer).sent == {}
    log.written.append(letter(3))
    assert [each.origin.offset for each in waiting(log)] == [3]  # type: ignore[arg-type]
    assert run(log, producer).sent == {"unknown_type": 1}
    assert len(producer.sent) == 3


def test_a_choice_leaves_the_others_waiting() -> None:
    """For another replay."""
    log = MemoryLog([letter(1), letter(2, reason="absurd_time")])
    producer = MemoryProducer(log)
    assert run(log, producer, "absurd_time").sent == {"absurd_time": 1}
    assert run(log, producer).sent == {"unknown_type": 1}


def test_a_dry_run_leaves_everything_as_it_was() -> None:
    """It says the same, and the next run still has all to do."""
    log = MemoryLog([letter(1), letter(2, cut={"value": 70_000})])
    outcome = run(log, None)
    assert (outcome.sent.total(), len(outcome.refused)) == (1, 1)
    assert len(log.written) == 2


def test_nothing_is_confirmed_that_was_not_kept() -> None:
    """A broker that is away in between: the letter is sent by the next replay."""
    log = MemoryLog([letter(1)])
    producer = MemoryProducer(log)
    producer.failing = True
    with pytest.raises(ServiceError, match="away"):
        run(log, producer)
    assert len(log.written) == 1
    producer.failing = False
    assert run(log, producer).sent.total() == 1


def test_many_are_confirmed_on_the_way() -> None:
    """A crash after a thousand repeats a few, not all."""
    log = MemoryLog([letter(n) for n in range(RECEIPT_EVERY + 1)])
    producer = MemoryProducer(log)
    assert run(log, producer).sent.total() == RECEIPT_EVERY + 1
    assert sum(each.replayed for each in log.written) == RECEIPT_EVERY + 1
