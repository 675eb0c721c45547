"""People who were erased: what a worker knows of them, and the record that tells it.

Law: an erasure stands in the log between the events of its person. What came before it was counted
and is forgotten; what comes after it and is older stays out for ever, also when the whole log is
read again. So who was erased is kept, by a hash in place of the id.

What was sent before it stays out too when the sender's clock was ahead, and its time is later than
that of the erasure. For `REMEMBERED_S` the ids of such events are known, as those of all events are
(`streams/deduplication.py`). What the log takes after that has a later time than any clock can have
shown before, unless it is sent once more, or was kept back for minutes: it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.control import (
    ERASURE_PREFIX,
    Erasure,
    decode_erasure,
    forgotten_until_ms,
    user_hash,
)
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import MAX_FUTURE_MS
from freshet.core.state.records import Records
from streams.deduplication import REMEMBERED_S
from streams.partition_events import wrong_partition
from streams.record_batch import RecordBatch

AHEAD_MS: Final = MAX_FUTURE_MS + 60_000
"""By how much an event from before an erasure may be later: by its clock, and by what the erasure
itself took until the log had it."""


def is_forgotten(
    erased_ts_ms: NDArray[np.int64], ts_ms: NDArray[np.int64], log_ts_ms: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which events are of an erased person and stay out, (n,).

    Args:
        erased_ts_ms: (n,) up to when the events of each user are forgotten, 0 = not erased.
        ts_ms: (n,) event times, none of them too far ahead.
        log_ts_ms: (n,) when the log took each event.

    >>> erased = np.array([0, 1_000, 1_000, 1_000, 1_000])
    >>> ts_ms = np.array([500, 1_000, 1_001, 1_001, 900_000])
    >>> is_forgotten(erased, ts_ms, np.array([500, 1_000, 1_001, 601_001, 900_000])).tolist()
    [False, True, False, True, False]
    """
    sent_again = (ts_ms <= erased_ts_ms + AHEAD_MS) & (
        log_ts_ms > erased_ts_ms + 1000 * REMEMBERED_S
    )
    return np.asarray((erased_ts_ms > 0) & ((ts_ms <= erased_ts_ms) | sent_again))


def is_erasure(batch: RecordBatch) -> bool:
    """Return whether a batch is an erasure; one that is comes as a batch by itself."""
    value = batch.values[0]
    return len(batch) == 1 and value is not None and value.startswith(ERASURE_PREFIX)


def read_erasure(batch: RecordBatch, partitions: int) -> tuple[Erasure, int]:
    """Return the erasure in a batch, and up to when events are forgotten, ms.

    Raises:
        EventError: it cannot be read, or the user's events are in another partition.
    """
    erasure = decode_erasure(batch.values[0] or b"")
    if partition_of(erasure.erase, partitions) != batch.partition:
        raise wrong_partition()
    return erasure, forgotten_until_ms(erasure, batch.ts_ms[0])


class ErasedPeople:
    """Who was erased, of the partitions of this worker."""

    def __init__(self) -> None:
        self._until_ms: dict[int, dict[str, int]] = {}

    def load(self, partition: int, until_ms: Mapping[str, int]) -> None:
        """Take what Redis holds of a partition: hashes, and up to when events are forgotten."""
        self._until_ms[partition] = dict(until_ms)

    def add(self, partition: int, user_id: str, ts_ms: int) -> tuple[str, int]:
        """Note an erasure; return the person's hash and up to when events are forgotten now."""
        people, name = self._until_ms[partition], user_hash(user_id)
        people[name] = max(people.get(name, 0), ts_ms)
        return name, people[name]

    def mark(self, partition: int, user_ids: Sequence[str], users: Records) -> None:
        """Write into records that were loaded up to when events are forgotten.

        Args:
            partition: of the users.
            user_ids: (n,) of the users.
            users: (n,) of `USER_DTYPE`.
        """
        if people := self._until_ms[partition]:
            users["erased_ts_ms"] = [people.get(user_hash(user_id), 0) for user_id in user_ids]
