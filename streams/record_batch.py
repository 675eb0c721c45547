"""What Kafka hands to a fold: the records of one partition, fetched together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one partition, in the order of their offsets.

    Attributes:
        start: the offset that reading went on from; the first record's own offset is larger
            where the log has a hole.
        offsets: (n,) offsets.
        values: (n,) values, None for a tombstone.
        keys: (n,) keys.
        ts_ms: (n,) when the log took each record, ms.
    """

    topic: str
    partition: int
    start: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    ts_ms: Sequence[int]

    @property
    def end(self) -> int:
        """The offset to read on from."""
        return self.offsets[-1] + 1

    def __len__(self) -> int:
        return len(self.offsets)

    def from_offset(self, offset: int) -> RecordBatch:
        """Return the records from `offset` on; it may hold none."""
        skip = next((i for i, at in enumerate(self.offsets) if at >= offset), len(self))
        return self._slice(skip, len(self), offset)

    def pieces(self, size: int) -> Iterator[RecordBatch]:
        """Cut the batch into pieces of at most `size` records."""
        start = self.start
        for first in range(0, len(self), size):
            piece = self._slice(first, first + size, start)
            start = piece.end
            yield piece

    def _slice(self, first: int, last: int, start: int) -> RecordBatch:
        cut = slice(first, last)
        return RecordBatch(
            self.topic,
            self.partition,
            start,
            self.offsets[cut],
            self.keys[cut],
            self.values[cut],
            self.ts_ms[cut],
        )
