"""The audit of a chaos run: the log itself, the dead letters and the state, against the truth.

The log is read from its start, since it alone knows which records came twice and where poison
stands; the product's codec has no part in it. Dead letters are promised at least once, so they
are counted by the record that they name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from freshet.core.errors import ServiceError
from freshet.core.events.client import reader_options
from freshet.core.events.dead_letter_log import DeadLetterLog
from freshet.core.events.topics import Topics
from freshet.core.progress import FOLDS, FoldProgress, Offsets, ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from replay.audit import Audit
from replay.chaos.people_truth import PeopleTruth, wrong_additions, wrong_unwanted
from replay.chaos.sequences import wrong_sequences
from replay.chaos.traffic import POISON_HEADER, Traffic
from replay.chaos.user_truth import UserTruth

READ_S = 30.0
ELSEWHERE = -1  # in place of a partition or an offset: no record of the events

Origin = tuple[int, int]
"""Partition and offset of a record of the events."""

Reasons = Mapping[Origin, str]


@dataclass(frozen=True, slots=True)
class LogTruth:
    """What the log of the events holds.

    Attributes:
        starts: (partitions,) offset of the oldest record.
        ends: (partitions,) offset behind the newest.
        events: (partitions,) different events.
        copies: (partitions,) records of events that had come before.
        poison: the reason for which each record that is no event must be refused.
        users: each person, as their events in the order of the log make them.
        added: what people added to each item, of the names of `ADDED`.
        held_back: (partitions,) of each total of `HELD_BACK`.
    """

    starts: Offsets
    ends: Offsets
    events: Offsets
    copies: Offsets
    poison: Reasons
    users: Mapping[str, UserTruth]
    added: Mapping[str, Counter[str]]
    held_back: Mapping[str, Offsets]

    @property
    def poisoned(self) -> Offsets:
        """Return (partitions,) records that are no events."""
        where = np.array([partition for partition, _ in self.poison], np.int64)
        return np.bincount(where, minlength=len(self.ends))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the audit found.

    Attributes:
        users: counts of each person and type.
        items: counts of each item and type.
        sequences_wrong: people whose history or past tells another order than the log.
        unwanted_wrong: people of whom something else is unwanted than the log says.
        added_wrong: items to which people added more or less than the log says.
        lag: records that are in a log and not in the state.
        positions_wrong: totals of the positions that disagree with the log, by partition.
        dead_letters: records that the dead letters name.
        dead_letters_wrong: missing, for another reason, or of a record that is fine.
        copies: records that came twice.
    """

    users: Audit
    items: Audit
    sequences_wrong: int
    unwanted_wrong: int
    added_wrong: int
    lag: int
    positions_wrong: int
    dead_letters: int
    dead_letters_wrong: int
    copies: int

    @property
    def is_exact(self) -> bool:
        """Whether everything was counted exactly once."""
        wrong = self.users.wrong + self.items.wrong + self.sequences_wrong + self.positions_wrong
        wrong += self.unwanted_wrong + self.added_wrong
        return not wrong + self.lag + self.dead_letters_wrong


def wrong_letters(poison: Reasons, letters: Reasons) -> int:
    """Return how many dead letters are missing, superfluous, or of another reason.

    >>> wrong_letters({(0, 7): "empty"}, {(0, 7): "empty"}), wrong_letters({(0, 7): "empty"}, {})
    (0, 1)
    """
    return sum(poison.get(origin) != letters.get(origin) for origin in {*poison, *letters})


def wrong_totals(progress: FoldProgress, truth: LogTruth) -> int:
    """Return how many totals of the user fold's positions disagree with the log."""
    expected = {
        "next": truth.ends,
        "applied": truth.events,
        "duplicates": truth.copies,
        "rejected": truth.poisoned,
        **truth.held_back,
    }
    return sum(int((progress.total(name) != total).sum()) for name, total in expected.items())


def examine(settings: Settings, partitions: int, traffic: Traffic) -> Verdict:
    """Audit an installation to which nothing is sent any more.

    Raises:
        ServiceError: a service does not answer, or the log has dropped records.
    """
    truth = read_log(settings, partitions)
    letters = read_letters(settings, partitions)
    with ProgressReader(settings, partitions) as reader:
        progress = {fold: reader.read(fold) for fold in FOLDS}
    with connect(settings) as client:
        state = StateReader(client, settings.namespace, partitions)
        users, items = traffic.users.audit(*state.users()), traffic.items.audit(*state.items())
        sequences_wrong = wrong_sequences(state, truth.users)
        unwanted_wrong = wrong_unwanted(state.unwanted(), truth.users)
        added_wrong = wrong_additions(*state.items(), truth.added)
    return Verdict(
        users,
        items,
        sequences_wrong,
        unwanted_wrong,
        added_wrong,
        lag=sum(int(each.lag.sum()) for each in progress.values()),
        positions_wrong=wrong_totals(progress["users"], truth),
        dead_letters=len(letters),
        dead_letters_wrong=wrong_letters(truth.poison, letters),
        copies=int(truth.copies.sum()),
    )


def read_log(settings: Settings, partitions: int) -> LogTruth:
    """Read the events topic whole.

    Raises:
        ServiceError: Kafka does not answer, or the log no longer begins at offset 0.
    """
    topic = Topics(settings.namespace).events
    seen: set[str] = set()
    poison: dict[Origin, str] = {}
    people = PeopleTruth(settings, partitions)
    events, copies = np.zeros(partitions, np.int64), np.zeros(partitions, np.int64)
    with closing(_consumer(settings)) as consumer:
        starts, ends = _bounds(consumer, topic, partitions)
        if starts.any():
            raise ServiceError(
                "kafka",
                f"the log begins at offsets {starts.tolist()}, expected 0: the broker has dropped "
                "records, and a state that is rebuilt from it cannot be whole; use a lower --rate, "
                "fewer --seconds, or --broker kafka",
            )
        for message in _records(consumer, topic, partitions):
            reason = dict(message.headers() or ()).get(POISON_HEADER)
            where = message.partition()
            if reason is not None:
                poison[where, message.offset()] = reason.decode()
                continue
            event = msgspec.json.decode(message.value())
            if event["event_id"] in seen:
                copies[where] += 1
                continue
            events[where] += 1
            seen.add(event["event_id"])
            people.take(event, where)
    return LogTruth(
        starts, ends, events, copies, poison, people.users, people.added, people.held_back
    )


def read_letters(settings: Settings, partitions: int) -> Reasons:
    """Return the reason of every record of the events that the dead letters name.

    A record that was refused for two reasons has both, which no truth agrees with; nor does one
    with what is no letter at all.

    Raises:
        ServiceError: Kafka does not answer.
    """
    events = Topics(settings.namespace).events
    letters: dict[Origin, str] = {}
    with DeadLetterLog(settings, partitions) as log:
        for letter in log.letters():
            if letter.replayed:  # a receipt: its letter came before it
                continue
            topic, partition, offset = letter.origin
            origin = (partition if topic == events else ELSEWHERE, offset)
            before = letters.setdefault(origin, letter.reason)
            if before != letter.reason:
                letters[origin] = f"{before}, {letter.reason}"
        if log.strange:
            letters[ELSEWHERE, ELSEWHERE] = "no letter"
    return letters


def _consumer(settings: Settings) -> Any:
    return Consumer(
        reader_options(settings, f"{settings.namespace}-verdict") | {"enable.partition.eof": True}
    )


def _bounds(consumer: Any, topic: str, partitions: int) -> tuple[Offsets, Offsets]:
    """Return the offset of the oldest record of each partition and the one behind its newest."""
    try:
        bounds = [
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=READ_S)
            for partition in range(partitions)
        ]
    except KafkaException as error:
        raise ServiceError("kafka", f"{topic}: {error}") from error
    starts, ends = np.array(bounds, np.int64).reshape(-1, 2).T
    return starts, ends


def _records(consumer: Any, topic: str, partitions: int) -> Iterator[Any]:
    """Yield the records of a topic from offset 0 to their end, those of a partition in order."""
    left = set(range(partitions))
    consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
    while left:
        message = consumer.poll(READ_S)
        if message is None:
            raise ServiceError("kafka", f"{topic} not read within {READ_S:g} s")
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition())
