"""The verdict: the letters and the positions are read as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.dead_letter import DeadLetter, Origin
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.progress import FoldProgress
from freshet.core.settings import Settings
from freshet.core.state.records import unpack_users
from replay.audit import Ledger
from replay.chaos.log_truth import LogTruth
from replay.chaos.people_truth import PeopleTruth
from replay.chaos.verdict import (
    ELSEWHERE,
    Finding,
    Verdict,
    read_letters,
    wrong_letters,
    wrong_totals,
)
from streams.user_fold_rows import HELD_BACK


def truth() -> LogTruth:
    """Two partitions: 3 events, a copy and a poison in the first, nothing in the second."""
    ends, events, copies, nothing = np.array([[5, 0], [3, 0], [1, 0], [0, 0]])
    people = PeopleTruth(Settings(), 2)
    return LogTruth(
        ends, events, copies, nothing, nothing, nothing, people, Ledger(), Ledger(),
        {(0, 4): "empty"},
    )  # fmt: skip


def progress(**changed: int) -> FoldProgress:
    """Positions that agree with the truth, but for what is changed in the first partition."""
    fields = {"next": 5, "applied": 3, "duplicates": 1, "rejected": 1}
    return FoldProgress([fields | changed, {}], np.zeros(2, np.int64), np.array([5, 0]))


def test_positions_agree_with_the_log_total_by_total() -> None:
    """Each total that does not is one that is wrong."""
    assert wrong_totals(progress(), truth()) == 0
    totals = ("next", "applied", "duplicates", "erased", "erasures", "rejected", *HELD_BACK)
    for name in totals:
        assert wrong_totals(progress(**{name: 9}), truth()) == 1


def nothing_wrong() -> Verdict:
    nothing = Ledger().audit([], unpack_users([]))
    return Verdict(nothing, nothing, (Finding("state", 9, 0),), 0, dead_letters=9, copies=9)


@pytest.mark.parametrize("wrong", [{"lag": 1}, {"findings": (Finding("state", 9, 1),)}])
def test_one_that_is_wrong_makes_the_verdict_inexact(wrong: dict[str, Any]) -> None:
    """Whatever it is one of."""
    exact = nothing_wrong()
    assert exact.is_exact
    assert not replace(exact, **wrong).is_exact


@pytest.mark.parametrize("name", ["users", "items"])
def test_one_miscount_makes_the_verdict_inexact(name: str) -> None:
    """Of a person or of an item."""
    exact = nothing_wrong()
    assert not replace(exact, **{name: replace(exact.users, wrong=1)}).is_exact


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
    with closing(EventProducer(settings)) as producer:
        yield producer


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
