"""What a worker holds in memory of one partition: its position and the records read so far."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from freshet.core.errors import PositionError
from streams.record_batch import RecordBatch
from streams.store import NO_POSITION, Position

CACHED_RECORDS = 200_000


@dataclass(slots=True)
class PartitionState:
    """Position and cached records of one partition.

    The cache holds what Redis holds, byte for byte: this worker is the only writer, and whatever
    casts doubt on that ends the worker.
    """

    name: str
    position: Position
    log_start: int = 0  # when the partition was assigned; the log may have dropped what was next
    records: dict[Hashable, bytes] = field(default_factory=dict)

    @property
    def next(self) -> int:
        """The next offset to apply, `NO_POSITION` when there is none."""
        return self.position.get("next", NO_POSITION)

    def unapplied(self, batch: RecordBatch) -> RecordBatch | None:
        """Return the part of the batch that comes next, None when all of it was applied.

        Raises:
            PositionError: records between the position and the batch were not handed over.
        """
        at = max(self.next, self.log_start)
        if self.next == NO_POSITION or batch.start == at:
            return batch
        if batch.start > at:
            raise PositionError(self.name, at, batch.start)
        return batch.from_offset(at) if batch.end > at else None

    def moved(self, end: int, **added: int) -> Position:
        """Return the position at `end` with its totals raised."""
        totals = {name: self.position.get(name, 0) + count for name, count in added.items()}
        return {**self.position, **totals, "next": end}

    @property
    def is_full(self) -> bool:
        """Whether the cache has grown too large."""
        return len(self.records) > CACHED_RECORDS
