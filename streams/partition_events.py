"""The events in a batch: decoded, of the users of its partition, without what is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import Reject, decode_events
from freshet.core.events.control import ERASURE_PREFIX, heartbeat_ts_ms
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.schema import Event
from streams.record_batch import RecordBatch
from streams.record_table import UNKNOWN, RecordTable

WRONG_PARTITION = "wrong_partition"


@dataclass(slots=True)
class PartitionEvents:
    """The events of one partition in a round.

    Attributes:
        user_ids: (n,) of the events.
        offsets: (n,) of the events.
        log_ts_ms: (n,) when the log took each event.
        rejects: records that are no events of this partition, by their index in the batch.
        beats: when heartbeats among the records were sent, ms.
        rows: (n,) of the events' users in the table of the partition.
        users: (u,) distinct `rows`.
    """

    batch: RecordBatch
    events: list[Event]
    user_ids: list[str]
    offsets: Sequence[int]
    log_ts_ms: Sequence[int]
    rejects: list[Reject]
    beats: list[int]
    rows: NDArray[np.int64]
    users: NDArray[np.int64]

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self.batch.partition


def wrong_partition() -> EventError:
    """Return the error for a record whose user's events are in another partition."""
    return EventError(WRONG_PARTITION, "the user belongs to another; use murmur2")


def read_events(batch: RecordBatch, table: RecordTable, partitions: int) -> PartitionEvents:
    """Decode a batch, leaving out what is no event and whose user lives elsewhere.

    Args:
        batch: of records of `events`.
        table: users of the partition that were met before.
        partitions: of the topic.
    """
    events, at, rejects = decode_events(batch.values, batch.ts_ms)
    beats: list[int] = []
    if rejects:
        beats, rejects = _heartbeats(batch, rejects)
    user_ids = [event.user_id for event in events]
    rows = table.rows(user_ids)
    if UNKNOWN in rows and (
        strays := _strays(batch.partition, table.unknown(user_ids), partitions)
    ):
        gone = [index for index, user in zip(at, user_ids, strict=True) if user in strays]
        rejects += [Reject(index, wrong_partition()) for index in gone]
        at = [index for index, user in zip(at, user_ids, strict=True) if user not in strays]
        events = [event for event in events if event.user_id not in strays]
        user_ids = [event.user_id for event in events]
        rows = table.rows(user_ids)
    offsets, log_ts_ms = batch.offsets, batch.ts_ms
    if len(at) < len(batch):
        offsets = [offsets[index] for index in at]
        log_ts_ms = [log_ts_ms[index] for index in at]
    return PartitionEvents(batch, events, user_ids, offsets, log_ts_ms, rejects, beats, rows, rows)


def _strays(partition: int, unknown: list[str], partitions: int) -> set[str]:
    """Return the users that belong to another partition; a known one was looked at before."""
    if not unknown:
        return set()
    hashes = murmur2_many([user_id.encode() for user_id in unknown])
    owners = partition_of_hash(hashes, partitions)
    return {unknown[row] for row in np.flatnonzero(owners != partition).tolist()}


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
