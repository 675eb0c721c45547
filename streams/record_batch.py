"""What Kafka hands to a fold: the records of one partition, fetched together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate


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

    def pieces(
        self, most_records: int, most_bytes: int | None, alone: bytes | None = None
    ) -> Iterator[RecordBatch]:
        """Cut the batch into pieces of at most so many records and bytes.

        A record larger than that is a piece by itself; None stands for any size. So is each
        record whose value begins with `alone`.
        """
        start, first = self.start, 0
        for edge in self._edges(alone):
            while first < edge:
                end = min(first + most_records, edge)
                if most_bytes is not None:
                    sizes = accumulate(len(value or b"") for value in self.values[first:end])
                    end = first + max(sum(1 for size in sizes if size <= most_bytes), 1)
                yield (piece := self._slice(first, end, start))
                start, first = piece.end, end

    def _edges(self, alone: bytes | None) -> list[int]:
        """Return where pieces must end, ascending; the last is the end of the batch."""
        if alone is None:
            return [len(self)]
        found = [at for at, value in enumerate(self.values) if value and value.startswith(alone)]
        return [edge for at in found for edge in (at, at + 1)] + [len(self)]

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
