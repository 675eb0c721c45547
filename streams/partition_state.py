"""What a worker holds in memory of one partition: its position."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.errors import PositionError
from streams.record_batch import RecordBatch
from streams.store import NO_POSITION, Position


@dataclass(slots=True)
class PartitionState:
    """The position of one partition, and where its log began."""

    name: str
    position: Position
    log_start: int = 0  # when the partition was assigned; the log may have dropped what was next

    @property
    def next(self) -> int:
        """The next offset to apply, `NO_POSITION` when there is none."""
        return self.position.get("next", NO_POSITION)

    @property
    def lost(self) -> int:
        """How many records the log dropped between the position and its start."""
        return 0 if self.next == NO_POSITION else max(self.log_start - self.next, 0)

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
        """Return the position at `end` with its totals raised; what was lost is one of them."""
        if self.lost:
            added["lost"] = self.lost
        totals = {name: self.position.get(name, 0) + count for name, count in added.items()}
        return {**self.position, **totals, "next": end}
