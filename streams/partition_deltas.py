"""The deltas in a batch: decoded, and only the rows that were not applied before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, rows_of
from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, UNDECODABLE, Reject
from freshet.core.events.schema import EVENT_TYPES
from freshet.core.state.records import SEGMENTS
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, ItemDeltas, decode_deltas
from streams.record_batch import RecordBatch


@dataclass(slots=True)
class PartitionDeltas:
    """The rows of one partition in a round, of which none was applied before.

    Attributes:
        passed: (partitions,) next offset of each source, behind the batch.
        item_ids: of the items, message by message.
        items: of each message, (n,) place in `item_ids` of each activity row's item.
        activity: of each message, (n,) of `ACTIVITY_DTYPE`.
        covisits: of each message, (m,) of `COVISIT_ROW_DTYPE`.
        duplicates: activity rows that had been applied.
        rejects: records that are no deltas, by their index in the batch.
    """

    batch: RecordBatch
    passed: NDArray[np.int64]
    item_ids: list[str] = field(default_factory=list)
    items: list[NDArray[np.int64]] = field(default_factory=list)
    activity: list[NDArray[Any]] = field(default_factory=list)
    covisits: list[NDArray[Any]] = field(default_factory=list)
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self.batch.partition

    @property
    def applied(self) -> int:
        """How many events the rows are of."""
        return sum(map(len, self.activity))

    def _add(self, deltas: ItemDeltas) -> None:
        items, activity, covisits = (
            deltas.item_rows(), deltas.activity_rows(), deltas.covisit_rows(),
        )  # fmt: skip
        if len(items) != len(activity) or not _all_exist(
            items, len(deltas.item_ids), activity, covisits,
            self.partition, len(self.passed), len(EVENT_TYPES), SEGMENTS,
        ):  # fmt: skip
            raise ValueError("rows of items, sources, types or segments that are not there")
        fresh = np.empty(len(activity), np.bool_)
        fresh_covisits = np.empty(len(covisits), np.bool_)
        stale = _pass(activity, covisits, self.passed, fresh, fresh_covisits)
        if stale:
            self.duplicates += len(fresh) - int(fresh.sum())
            items, activity, covisits = items[fresh], activity[fresh], covisits[fresh_covisits]
        self.items.append(items + np.int64(len(self.item_ids)))
        self.item_ids += deltas.item_ids
        self.activity.append(activity)
        self.covisits.append(covisits)


def read_deltas(batch: RecordBatch, passed: NDArray[np.int64]) -> PartitionDeltas:
    """Decode a batch, leaving out what is of no user fold and what was applied before.

    Args:
        batch: of records of `item-deltas`.
        passed: (partitions,) next offset of each source.
    """
    read = PartitionDeltas(batch, passed.copy())
    for index, raw in enumerate(batch.values):
        try:
            read._add(decode_deltas(raw or b""))
        except (msgspec.DecodeError, ValueError) as error:
            reason = UNDECODABLE if raw else EMPTY
            read.rejects.append(Reject(index, EventError(reason, str(error))))
    return read


_ACTIVITY_READ = rows_of(ACTIVITY_DTYPE, writable=False)
_COVISITS_READ = rows_of(COVISIT_ROW_DTYPE, writable=False)


@compiled(
    rows_of("u4", writable=False), numba.int64, _ACTIVITY_READ, _COVISITS_READ, numba.int64,
    numba.int64, numba.int64, numba.int64,
)  # fmt: skip
def _all_exist(
    items: NDArray[np.uint32],
    n_items: int,
    activity: Any,
    covisits: Any,
    partition: int,
    n_partitions: int,
    n_types: int,
    n_segments: int,
) -> bool:
    """Tell whether all that the rows count into is there, since compiled loops do not look.

    And whether the transitions are out of items of the partition; see `partition_of_hash`.
    """
    for item in items:
        if item >= n_items:
            return False
    for row in activity:
        if row.source >= n_partitions or row.type >= n_types or row.segment >= n_segments:
            return False
    for row in covisits:
        owner = (row.previous & 0x7FFFFFFF) % n_partitions
        if row.source >= n_partitions or owner != partition:
            return False
    return True


@compiled(_ACTIVITY_READ, _COVISITS_READ, rows_of("i8"), rows_of("?"), rows_of("?"))
def _pass(
    activity: Any,
    covisits: Any,
    passed: NDArray[np.int64],
    fresh: NDArray[np.bool_],
    fresh_covisits: NDArray[np.bool_],
) -> int:
    """Find the rows of a message behind `passed`, then move it; return how many are not."""
    stale = 0
    for at in range(len(activity)):
        fresh[at] = activity[at].offset >= passed[activity[at].source]
        stale += not fresh[at]
    for at in range(len(covisits)):
        fresh_covisits[at] = covisits[at].offset >= passed[covisits[at].source]
        stale += not fresh_covisits[at]
    for row in activity:
        passed[row.source] = max(passed[row.source], row.offset + 1)
    for row in covisits:
        passed[row.source] = max(passed[row.source], row.offset + 1)
    return stale
