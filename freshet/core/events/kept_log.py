"""What Kafka keeps of an installation's own past: its events and its catalogue, for a trainer.

Law: what the folds would not count is not learned from either: records that are no events or stand
in a partition that is not theirs, events that came twice, and all that an erased person did before
the erasure, or is older than it. The same records give the same log, in whatever pieces they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from freshet.core.errors import EventError
from freshet.core.events.cluster import existing_partitions
from freshet.core.events.codec import decode_entry, decode_event
from freshet.core.events.control import (
    ERASURE_PREFIX,
    decode_erasure,
    forgotten_until_ms,
    heartbeat_ts_ms,
)
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.schema import MAX_FUTURE_MS, Event, Item
from freshet.core.events.topic_log import TopicLog
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings

UNREADABLE: Final = "that cannot be read"
STRAY: Final = "in a partition that is not theirs"
REPEATED: Final = "that came before"
ERASED: Final = "of erased people"

_READER: Final = "kept-log"
_SHOWN_RECORDS: Final = 10_000  # between two reports


@dataclass(frozen=True, slots=True)
class KeptLog:
    """The past of an installation, as far as Kafka keeps it.

    Attributes:
        events: those of a partition in their order, one partition behind the other.
        items: the catalogue as it is now.
        left_out: records by the reason.
    """

    events: list[Event]
    items: list[Item]
    left_out: Counter[str]

    def describe(self) -> str:
        """Return one sentence on what was read.

        >>> KeptLog([], [], Counter({UNREADABLE: 2})).describe()
        'Kafka has 0 events and 0 items; left out: 2 records that cannot be read'
        """
        text = f"Kafka has {len(self.events):,} events and {len(self.items):,} items"
        reasons = [f"{count:,} records {why}" for why, count in sorted(self.left_out.items())]
        return f"{text}; left out: {', '.join(reasons)}" if reasons else text


def read_kept_log(
    settings: Settings, report: Callable[[float], None] = lambda _share: None
) -> KeptLog:
    """Return what Kafka has at this moment, from the oldest record that it keeps.

    Args:
        settings: names the broker and the namespace.
        report: told the share that was read.

    Raises:
        ServiceError: Kafka does not answer, or has no topics of this installation.
    """
    partitions = existing_partitions(settings)
    topics = Topics(settings.namespace)
    events = [KeptEvents(number, partitions) for number in range(partitions)]
    items = [KeptItems(number, partitions) for number in range(partitions)]
    with (
        TopicLog(settings, topics.events, _READER) as event_log,
        TopicLog(settings, topics.catalog, _READER) as catalog,
    ):
        event_bounds = event_log.bounds(range(partitions))
        item_bounds = catalog.bounds(range(partitions))
        places = [*event_bounds.values(), *item_bounds.values()]
        records = sum(end - start for start, end in places)
        read = 0

        def count() -> None:
            nonlocal read
            read += 1
            if read % _SHOWN_RECORDS == 0:
                report(read / records)

        for message in catalog.records(item_bounds):
            items[message.partition()].take(message.key(), message.value())
            count()
        for message in event_log.records(event_bounds):
            _, log_ts_ms = message.timestamp()
            events[message.partition()].take(message.value(), log_ts_ms)
            count()
    left_out: Counter[str] = Counter()
    log = KeptLog([], [], left_out)
    for kept in events:
        log.events.extend(kept.finish())
        left_out.update(kept.left_out)
    for offered in items:
        log.items.extend(offered.finish())
        left_out.update(offered.left_out)
    report(1.0)
    return log


class _Erased(NamedTuple):
    """Somebody who was erased: before which place in the log, and up to when, ms."""

    place: int
    until_ms: int


class KeptEvents:
    """The events of a partition, record by record.

    Args:
        partition: number of the partition.
        partitions: how many there are.

    Attributes:
        left_out: records by the reason, complete once `finish` was called.
    """

    def __init__(self, partition: int, partitions: int) -> None:
        self.left_out: Counter[str] = Counter()
        self._partition = partition
        self._partitions = partitions
        self._taken: list[Event] = []
        self._erased: dict[str, _Erased] = {}

    def take(self, raw: bytes | None, log_ts_ms: int) -> None:
        """Take the next record of the partition.

        Args:
            raw: its value.
            log_ts_ms: when the log took it.
        """
        if heartbeat_ts_ms(raw) is not None:
            return
        try:
            if raw is not None and raw.startswith(ERASURE_PREFIX):
                self._erase(raw, log_ts_ms)
                return
            event = decode_event(raw, log_ts_ms)
        except EventError:
            self.left_out[UNREADABLE] += 1
            return
        if event.ts_ms > log_ts_ms + MAX_FUTURE_MS:
            event = msgspec.structs.replace(event, ts_ms=log_ts_ms)
        self._taken.append(event)

    def finish(self) -> list[Event]:
        """Return the events that count, in their order; called once, behind the last record."""
        users = (event.user_id for event in self._taken)
        strays = _strays(users, self._partition, self._partitions)
        kept: list[Event] = []
        seen: set[tuple[str, str]] = set()
        for place, event in enumerate(self._taken):
            name = event.user_id, event.event_id
            if event.user_id in strays:
                self.left_out[STRAY] += 1
            elif self._is_erased(event, place):
                self.left_out[ERASED] += 1
                if place < self._erased[event.user_id].place:
                    seen.add(name)  # sent again, it stays out whatever its time is
            elif name in seen:
                self.left_out[REPEATED] += 1
            else:
                seen.add(name)
                kept.append(event)
        return kept

    def _erase(self, raw: bytes, log_ts_ms: int) -> None:
        erasure = decode_erasure(raw)
        until_ms = forgotten_until_ms(erasure, log_ts_ms)
        if (before := self._erased.get(erasure.erase)) is not None:
            until_ms = max(until_ms, before.until_ms)
        self._erased[erasure.erase] = _Erased(len(self._taken), until_ms)

    def _is_erased(self, event: Event, place: int) -> bool:
        erased = self._erased.get(event.user_id)
        return erased is not None and (place < erased.place or event.ts_ms <= erased.until_ms)


class KeptItems:
    """The catalogue entries of a partition, record by record; the last of an item counts.

    Args:
        partition: number of the partition.
        partitions: how many there are.

    Attributes:
        left_out: records by the reason, complete once `finish` was called.
    """

    def __init__(self, partition: int, partitions: int) -> None:
        self.left_out: Counter[str] = Counter()
        self._partition = partition
        self._partitions = partitions
        self._entries: dict[str, Item] = {}

    def take(self, key: bytes | None, raw: bytes | None) -> None:
        """Take the next record of the partition."""
        try:
            item_id, item = decode_entry(key, raw)
        except EventError:
            self.left_out[UNREADABLE] += 1
            return
        if item is None:
            self._entries.pop(item_id, None)
        else:
            self._entries[item_id] = item

    def finish(self) -> list[Item]:
        """Return the items that are offered; called once, behind the last record."""
        strays = _strays(self._entries, self._partition, self._partitions)
        if strays:
            self.left_out[STRAY] += len(strays)
        return [item for item_id, item in self._entries.items() if item_id not in strays]


def _strays(names: Iterable[str], partition: int, partitions: int) -> set[str]:
    """Return the names whose records belong into another partition."""
    distinct = list(dict.fromkeys(names))
    hashes = murmur2_many([name.encode() for name in distinct])
    elsewhere = np.flatnonzero(partition_of_hash(hashes, partitions) != partition)
    return {distinct[at] for at in elsewhere.tolist()}
