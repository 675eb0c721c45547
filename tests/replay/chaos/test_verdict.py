"""The verdict: the log, the letters and the positions are read as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.dead_letter import DeadLetter, Origin
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.progress import FoldProgress
from freshet.core.settings import Settings
from freshet.core.state.records import unpack_users
from replay.audit import Ledger
from replay.chaos.traffic import POISON_HEADER
from replay.chaos.verdict import (
    ELSEWHERE,
    LogTruth,
    Verdict,
    read_letters,
    read_log,
    wrong_letters,
    wrong_totals,
)
from streams.user_fold_rows import HELD_BACK


def truth() -> LogTruth:
    """Two partitions: 3 events, a copy and a poison in the first, nothing in the second."""
    zeros = np.zeros(2, np.int64)
    ends, events, copies = np.array([[5, 0], [3, 0], [1, 0]])
    held_back = dict.fromkeys(HELD_BACK, zeros)
    return LogTruth(zeros, ends, events, copies, {(0, 4): "empty"}, {}, {}, held_back)


def progress(**changed: int) -> FoldProgress:
    """Positions that agree with the truth, but for what is changed in the first partition."""
    fields = {"next": 5, "applied": 3, "duplicates": 1, "rejected": 1}
    return FoldProgress([fields | changed, {}], np.zeros(2, np.int64), np.array([5, 0]))


def test_positions_agree_with_the_log_total_by_total() -> None:
    """Each total that does not is one that is wrong."""
    assert wrong_totals(progress(), truth()) == 0
    for name in ("next", "applied", "duplicates", "rejected", *HELD_BACK):
        assert wrong_totals(progress(**{name: 9}), truth()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "sequences_wrong", "unwanted_wrong", "added_wrong", "lag", "positions_wrong",
        "dead_letters_wrong",
    ],
)  # fmt: skip
def test_one_that_is_wrong_makes_the_verdict_inexact(name: str) -> None:
    """Whatever it is one of."""
    nothing = Ledger().audit([], unpack_users([]))
    exact = Verdict(nothing, nothing, *[0] * 5, dead_letters=9, dead_letters_wrong=0, copies=9)
    assert exact.is_exact
    assert not replace(exact, **{name: 1}).is_exact


@pytest.mark.parametrize("name", ["users", "items"])
def test_one_miscount_makes_the_verdict_inexact(name: str) -> None:
    """Of a person or of an item."""
    nothing = Ledger().audit([], unpack_users([]))
    exact = Verdict(nothing, nothing, *[0] * 5, dead_letters=0, dead_letters_wrong=0, copies=0)
    assert not replace(exact, **{name: replace(nothing, wrong=1)}).is_exact


def test_letters_are_compared_by_the_record_that_they_name() -> None:
    """Missing, superfluous, and of another reason."""
    poison = {(0, 1): "empty", (1, 1): "invalid"}
    assert wrong_letters({}, {}) == 0
    assert wrong_letters(poison, dict(poison)) == 0
    assert wrong_letters(poison, {(0, 1): "empty"}) == 1
    assert wrong_letters(poison, {**poison, (0, 2): "empty"}) == 1
    assert wrong_letters(poison, {**poison, (0, 1): "invalid"}) == 1


@pytest.fixture
def producer(settings: Settings) -> Iterator[EventProducer]:
    """A producer to the embedded broker."""
    with closing(EventProducer(settings.kafka_bootstrap)) as producer:
        yield producer


@pytest.mark.services
def test_the_log_tells_events_copies_and_poison_apart(
    settings: Settings, producer: EventProducer
) -> None:
    """An event that comes again is a copy; poison is known by its header."""
    partitions = discover_partitions(settings)
    topic = Topics(settings.namespace).events
    empty = read_log(settings, partitions)
    assert (empty.ends.sum(), empty.events.sum(), dict(empty.poison)) == (0, 0, {})
    for number, event_id in enumerate(["a", "b", "a", "c"]):
        kind: Any = "impression" if event_id == "c" else "click"
        event = Event(event_id=event_id, type=kind, user_id="ann", item_id=f"i{number}", ts_ms=1)
        producer.send(topic, number % 2, encode(event))
    producer.send(topic, 1, None, headers=[(POISON_HEADER, b"empty")])
    producer.flush()
    found = read_log(settings, partitions)
    assert found.ends.tolist() == [2, 3, 0, 0]
    assert (found.events.tolist(), found.copies.tolist()) == ([1, 2, 0, 0], [1, 0, 0, 0])
    assert found.poison == {(1, 2): "empty"}
    assert sorted(each.item for each in found.users["ann"].acted) == ["i0", "i1"]
    assert found.poisoned.tolist() == [0, 1, 0, 0]


@pytest.mark.services
def test_a_letter_that_came_twice_counts_once_and_two_reasons_are_none(
    settings: Settings, producer: EventProducer
) -> None:
    """Letters are promised at least once, each for one reason."""
    topics, partitions = Topics(settings.namespace), discover_partitions(settings)
    for offset, reason in ((1, "empty"), (1, "empty"), (2, "empty"), (2, "invalid")):
        letter = DeadLetter(Origin(topics.events, 0, offset), reason, "", None, b"")
        producer.send_record(letter.record(topics.dead_letters))
    producer.flush()
    assert read_letters(settings, partitions) == {(0, 1): "empty", (0, 2): "empty, invalid"}


@pytest.mark.services
def test_letters_are_read_whatever_they_hold(settings: Settings, producer: EventProducer) -> None:
    """A key that is no text is one of the poisons; a receipt is no letter, and junk is none."""
    topics, partitions = Topics(settings.namespace), discover_partitions(settings)
    poison = DeadLetter(Origin(topics.events, 2, 7), "invalid", "", b"\xff", None)
    foreign = DeadLetter(Origin(topics.catalog, 0, 5), "empty", "", None, None)
    receipt = DeadLetter(Origin(topics.events, 1, 3), "empty", "", None, b"").receipt()
    for letter in (poison, foreign, receipt):
        producer.send_record(letter.record(topics.dead_letters))
    producer.flush()
    expected = {(2, 7): "invalid", (ELSEWHERE, 5): "empty"}
    assert read_letters(settings, partitions) == expected
    producer.send(topics.dead_letters, 0, b"junk")
    producer.flush()
    junk = {(ELSEWHERE, ELSEWHERE): "no letter"}
    assert read_letters(settings, partitions) == expected | junk
