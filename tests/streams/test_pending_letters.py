"""The gauge of dead letters that wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from prometheus_client import REGISTRY

from freshet.core.errors import ServiceError
from freshet.core.events.dead_letter import DeadLetter, Origin
from freshet.core.events.producer import Record
from freshet.core.events.topic_log import Bounds
from streams import pending_letters
from streams.pending_letters import LetterWatch


class Message:
    """A record as the client hands it over."""

    def __init__(self, partition: int, offset: int, record: Record) -> None:
        self._place = partition, offset
        self._record = record

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> Any:
        return self._record.headers


class MemoryLog:
    """The topic as lists; counts what was read."""

    def __init__(self, partitions: int) -> None:
        self.records_of: list[list[Record]] = [[] for _ in range(partitions)]
        self.starts = [0] * partitions
        self.read = 0

    def write(self, letter: DeadLetter) -> None:
        self.records_of[letter.origin.partition].append(letter.record("t.dead-letters"))

    def bounds(self, partitions: Iterable[int]) -> dict[int, Bounds]:
        return {each: Bounds(self.starts[each], len(self.records_of[each])) for each in partitions}

    def records(self, bounds: Mapping[int, Bounds]) -> Iterator[Any]:
        for partition, (start, end) in bounds.items():
            for offset in range(start, end):
                self.read += 1
                yield Message(partition, offset, self.records_of[partition][offset])


def letter(offset: int, reason: str = "invalid", partition: int = 0) -> DeadLetter:
    return DeadLetter(Origin("t.events", partition, offset), reason, "", None, b"x")


def pending(reason: str) -> float | None:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("freshet_dead_letters_pending_letters", labels)


def test_letters_count_until_they_are_sent_again() -> None:
    """By reason; one that was written twice counts once; words of others count as others."""
    log = MemoryLog(2)
    watch = LetterWatch(log, 2)
    assert pending("invalid") == 0
    for offset in range(817):
        log.write(letter(offset, partition=offset % 2))
    log.write(letter(0))
    log.write(letter(9_000, "made up"))
    watch.look()
    assert (pending("invalid"), pending("other"), pending("empty")) == (817, 1, 0)
    for offset in range(800):
        log.write(letter(offset, partition=offset % 2).receipt())
    watch.look()
    assert pending("invalid") == 17
    read = log.read
    watch.look()
    assert log.read == read


def test_what_the_log_dropped_waits_no_longer() -> None:
    """Retention ends the wait too."""
    log = MemoryLog(1)
    watch = LetterWatch(log, 1)
    for offset in range(10):
        log.write(letter(offset))
    watch.look()
    log.starts[0] = 8
    watch.look()
    assert pending("invalid") == 2


def test_a_first_look_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long topic, the newest are counted."""
    monkeypatch.setattr(pending_letters, "MAX_READ", 5)
    log = MemoryLog(1)
    for offset in range(50):
        log.write(letter(offset))
    LetterWatch(log, 1).look()
    assert pending("invalid") == 5


def test_what_is_no_letter_is_passed_over() -> None:
    """Somebody else wrote it."""
    log = MemoryLog(1)
    log.records_of[0].append(Record("t.dead-letters", 0, None, b"x"))
    log.write(letter(1))
    LetterWatch(log, 1).look()
    assert pending("invalid") == 1


def test_a_look_that_fails_is_made_again_from_where_it_began() -> None:
    """Nothing is left out."""
    log = MemoryLog(1)
    watch = LetterWatch(log, 1)
    log.write(letter(0))
    sound, log.records = log.records, _broken  # type: ignore[method-assign, assignment]
    with pytest.raises(ServiceError):
        watch.look()
    log.records = sound  # type: ignore[method-assign]
    watch.look()
    assert pending("invalid") == 1


def _broken(_: object) -> Iterator[Any]:
    raise ServiceError("kafka", "away")
