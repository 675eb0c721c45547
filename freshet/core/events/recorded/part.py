"""Which part of a log is wanted, and when it is to have happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import msgspec

from freshet.core.events.schema import Event, Item


class RecordedRow(NamedTuple):
    """An event and the line of the file that it was read from."""

    line: int
    event: Event


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a log.

    Attributes:
        from_ms: no older events, by the times in the file; 0 = all.
        to_ms: only older events, by the times in the file; 0 = all.
        shift_ms: what is added to every time.
        limit: so many events at most; 0 = all.
        sort: whether the rows are put into the order of time; equal times keep that of the file.
    """

    from_ms: int = 0
    to_ms: int = 0
    shift_ms: int = 0
    limit: int = 0
    sort: bool = False

    def holds(self, ts_ms: int) -> bool:
        """Return whether a time of the file belongs to it.

        >>> Part(from_ms=5, to_ms=9).holds(5), Part(from_ms=5, to_ms=9).holds(9), Part().holds(0)
        (True, False, True)
        """
        return ts_ms >= self.from_ms and not (self.to_ms and ts_ms >= self.to_ms)

    def of(self, rows: Iterable[RecordedRow]) -> Iterator[RecordedRow]:
        """Yield the rows that belong to it, with the times that they are to have."""
        if self.sort:
            rows = sorted(rows, key=lambda row: row.event.ts_ms)
        held = (row for row in rows if self.holds(row.event.ts_ms))
        for line, event in islice(held, self.limit or None):
            yield RecordedRow(line, self._shifted(event))

    def of_items(self, items: Iterable[Item]) -> list[Item]:
        """Return a catalogue with the times that it is to have."""
        return [
            msgspec.structs.replace(item, created_ts_ms=item.created_ts_ms + self.shift_ms)
            if item.created_ts_ms and self.shift_ms
            else item
            for item in items
        ]

    def _shifted(self, event: Event) -> Event:
        if not self.shift_ms:
            return event
        return msgspec.structs.replace(event, ts_ms=event.ts_ms + self.shift_ms)
