"""What the log of the events says, read record by record.

The log is read from its start, since it alone knows which records came twice, in which order an
erasure and the events of its user stand, and where poison is; the product's codec has no part in
it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from freshet.core.progress import Offsets
from freshet.core.settings import Settings
from replay.audit import Ledger
from replay.chaos.audit.examples import Response
from replay.chaos.audit.logs import Logged, TopicRecords
from replay.chaos.people_truth import PeopleTruth
from replay.chaos.traffic import EVENT_PREFIX, POISON_HEADER
from replay.chaos.user_truth import UserTruth

_BEFORE: Final = -1  # all times, ms

Origin = tuple[int, int]
"""Partition and offset of a record of the events."""

Reasons = Mapping[Origin, str]


@dataclass(frozen=True, slots=True)
class LogTruth:
    """What the log of the events holds.

    Attributes:
        ends: (partitions,) offset behind the newest record.
        events: (partitions,) different events.
        copies: (partitions,) records of events that had come before.
        forgotten: (partitions,) records of events that an erasure keeps out.
        erasures: (partitions,) records of them.
        poison: the reason for which each record that is no event must be refused.
        sent: ids of the events of the traffic.
        newest_ms: (partitions,) newest time of an event that counts.
        erased_ms: up to when the events of each user who was erased stay out, ms.
        responses: events that count and that name an answer, by its request id.
        people: users and items, as the events that count make them.
        users: what counts of each user and type.
        items: what counts of each item and type.
    """

    ends: Offsets
    events: Offsets
    copies: Offsets
    forgotten: Offsets
    erasures: Offsets
    newest_ms: Offsets
    people: PeopleTruth
    users: Ledger
    items: Ledger
    poison: dict[Origin, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    erased_ms: dict[str, int] = field(default_factory=dict)
    responses: defaultdict[str, list[Response]] = field(default_factory=lambda: defaultdict(list))

    @property
    def poisoned(self) -> Offsets:
        """Return (partitions,) records that are no events."""
        where = np.array([partition for partition, _ in self.poison], np.int64)
        return np.bincount(where, minlength=len(self.ends))

    @property
    def held_back(self) -> Mapping[str, Offsets]:
        """Return (partitions,) of each total of `HELD_BACK`."""
        return self.people.held_back

    @property
    def acting(self) -> Mapping[str, UserTruth]:
        """Return each user with an event that counts."""
        return self.people.users


def read_log(events: TopicRecords, settings: Settings) -> LogTruth:
    """Return what a log says.

    Args:
        events: the whole topic.
        settings: of the installation.
    """
    partitions = len(events.records)
    events_of, copies, forgotten, erasures, newest_ms = np.zeros((5, partitions), np.int64)
    truth = LogTruth(
        ends=events.ends,
        events=events_of,
        copies=copies,
        forgotten=forgotten,
        erasures=erasures,
        newest_ms=newest_ms,
        people=PeopleTruth(settings, partitions),
        users=Ledger(low_rating=settings.low_rating),
        items=Ledger(low_rating=settings.low_rating),
    )
    for partition, records in enumerate(events.records):
        _Partition(truth, partition).read(records)
    return truth


class _Partition:
    """Reads a partition into the truth.

    Args:
        truth: written to.
        partition: its number.
    """

    def __init__(self, truth: LogTruth, partition: int) -> None:
        self._truth = truth
        self._partition = partition
        self._seen: defaultdict[str, set[str]] = defaultdict(set)

    def read(self, records: Iterable[Logged]) -> None:
        """Take all records, in their order."""
        for record in records:
            self._take(record)

    def _take(self, record: Logged) -> None:
        truth, partition = self._truth, self._partition
        if reason := record.headers.get(POISON_HEADER):
            truth.poison[partition, record.offset] = reason.decode()
            return
        event = msgspec.json.decode(record.value or b"null")
        if "erase" in event:
            self._erase(event["erase"], event["ts_ms"])
            return
        event_id, user_id = event["event_id"], event["user_id"]
        if event_id.startswith(EVENT_PREFIX):
            truth.sent.add(event_id)
        if event["ts_ms"] <= truth.erased_ms.get(user_id, _BEFORE):
            truth.forgotten[partition] += 1
        elif event_id in self._seen[user_id]:
            truth.copies[partition] += 1
        else:
            self._seen[user_id].add(event_id)
            self._count(event)

    def _erase(self, user_id: str, until_ms: int) -> None:
        truth = self._truth
        truth.erasures[self._partition] += 1
        truth.erased_ms[user_id] = max(truth.erased_ms.get(user_id, _BEFORE), until_ms)
        truth.people.forget(user_id)
        truth.users.sent.pop(user_id, None)
        self._seen.pop(user_id, None)

    def _count(self, event: Mapping[str, Any]) -> None:
        truth, partition = self._truth, self._partition
        truth.events[partition] += 1
        truth.newest_ms[partition] = max(truth.newest_ms[partition], event["ts_ms"])
        kind = truth.people.take(event, partition)
        truth.users.add(event["user_id"], kind)
        truth.items.add(event["item_id"], kind)
        if request_id := event.get("request_id"):
            response = Response(event["item_id"], kind, event["ts_ms"])
            truth.responses[request_id].append(response)
