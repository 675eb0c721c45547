"""The events in a batch: decoded, without what is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import Reject, decode_events, event_digests, event_hashes
from freshet.core.events.control import ERASURE_PREFIX, heartbeat_ts_ms
from freshet.core.events.schema import RATING, TYPE_CODES, Event, effective_type
from freshet.core.settings import Settings
from streams.item_names import ItemNames
from streams.record_batch import RecordBatch
from streams.user_fold_rows import EVENT_DTYPE

WRONG_PARTITION = "wrong_partition"


@dataclass(slots=True)
class PartitionEvents:
    """The events of one partition in a round.

    Attributes:
        events: (n,) in the order of their offsets.
        at: (n,) index of each in the batch.
        rejects: records that are no events of this partition, by their index in the batch.
        beats: when heartbeats among the records were sent, ms.
    """

    batch: RecordBatch
    events: list[Event]
    at: list[int]
    rejects: list[Reject]
    beats: list[int]

    def __len__(self) -> int:
        return len(self.events)

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self.batch.partition

    @property
    def user_ids(self) -> list[str]:
        """Who acted, (n,)."""
        return [event.user_id for event in self.events]

    @property
    def offsets(self) -> Sequence[int]:
        """Offset of each event, (n,)."""
        return self._of_records(self.batch.offsets)

    @property
    def log_ts_ms(self) -> Sequence[int]:
        """When the log took each event, (n,) ms."""
        return self._of_records(self.batch.ts_ms)

    def refuse(self, strays: NDArray[np.bool_]) -> None:
        """Reject events whose users live in another partition.

        Args:
            strays: (n,) which they are.
        """
        both = list(zip(self.events, self.at, strays.tolist(), strict=True))
        self.rejects += [Reject(at, wrong_partition()) for _, at, is_stray in both if is_stray]
        self.events = [event for event, _, is_stray in both if not is_stray]
        self.at = [at for _, at, is_stray in both if not is_stray]

    def _of_records(self, column: Sequence[int]) -> Sequence[int]:
        return column if len(self.at) == len(column) else [column[at] for at in self.at]


def wrong_partition() -> EventError:
    """Return the error for a record whose user's events are in another partition."""
    return EventError(WRONG_PARTITION, "the user belongs to another; use murmur2")


def read_events(batch: RecordBatch) -> PartitionEvents:
    """Decode a batch of records of `events`, leaving out what is no event."""
    events, at, rejects = decode_events(batch.values, batch.ts_ms)
    beats: list[int] = []
    if rejects:
        beats, rejects = _heartbeats(batch, rejects)
    return PartitionEvents(batch, events, at, rejects, beats)


def event_rows(
    reads: Sequence[PartitionEvents],
    users: NDArray[np.int64],
    items: ItemNames,
    low_rating: float = Settings().low_rating,
    digests: NDArray[np.uint64] | None = None,
) -> NDArray[Any]:
    """Return the events of a round as the user fold takes them, (e,) of `EVENT_DTYPE`.

    Args:
        reads: the partitions of the round.
        users: (e,) row of each event's user.
        items: numbers the names of items.
        low_rating: see `effective_type`.
        digests: (e,) of the event ids, when they are known; see `digests_of`.
    """
    found = [event for read in reads for event in read.events]
    rows = np.empty(len(found), EVENT_DTYPE)
    rows["user"] = users
    rows["source"] = np.repeat([read.partition for read in reads], [len(read) for read in reads])
    rows["offset"] = [offset for read in reads for offset in read.offsets]
    rows["log_ts_ms"] = [ts_ms for read in reads for ts_ms in read.log_ts_ms]
    rows["ts_ms"] = [event.ts_ms for event in found]
    rows["type"] = kinds = [TYPE_CODES[event.type] for event in found]
    if RATING in kinds:
        rows["type"] = [
            effective_type(kind, event.value, low_rating)
            for kind, event in zip(kinds, found, strict=True)
        ]
    rows["event"] = event_hashes(event_digests(found) if digests is None else digests)
    names = items.numbers([event.item_id for event in found])
    rows["name"] = names
    rows["item"] = items.hashes(names)
    return rows


def digests_of(reads: Sequence[PartitionEvents]) -> NDArray[np.uint64]:
    """Return the digests of the event ids of a round, (e,); see `event_digests`."""
    return event_digests([event for read in reads for event in read.events])


def _heartbeats(batch: RecordBatch, rejects: list[Reject]) -> tuple[list[int], list[Reject]]:
    """Return when the heartbeats among records were sent, and the records that are none."""
    beats, rest = [], []
    for reject in rejects:
        value = batch.values[reject.at]
        if (sent_ts_ms := heartbeat_ts_ms(value)) is not None:
            beats.append(sent_ts_ms)
        elif len(batch) > 1 and value is not None and value.startswith(ERASURE_PREFIX):
            raise ValueError("an erasure among other records: it must be a batch by itself")
        else:
            rest.append(reject)
    return beats, rest
