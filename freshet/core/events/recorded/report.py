"""The judgement of a file: one for all commands, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from freshet.core.events.recorded.order import TimeOrder, are_many
from freshet.core.events.recorded.times import readable

EXAMPLES_KEPT: Final = 10


@dataclass(slots=True)
class ReadReport:
    """What reading a file came to.

    Attributes:
        rows: rows that are not blank.
        events: events (or items) that were read.
        duplicates: copies that were dropped.
        first_copy: (line, line of the first) of the first of them, (0, 0) = none.
        bad_rows: rows that could not be read.
        conflicts: bad rows whose `event_id` an earlier row of the user has, with other content.
        bad: the first bad rows, as (line number from 1, reason).
        order: how far the rows are from the order of time.
        first_ts_ms: the oldest time, 0 = none.
        digest: hash of the content, once the file was read to its end.
        lines: the last line that was read.
    """

    rows: int = 0
    events: int = 0
    duplicates: int = 0
    first_copy: tuple[int, int] = (0, 0)
    bad_rows: int = 0
    conflicts: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    order: TimeOrder = field(default_factory=TimeOrder, compare=False)
    first_ts_ms: int = 0
    digest: str = ""
    lines: int = 0

    def note_bad(self, line: int, reason: str) -> None:
        """Count a row that could not be read."""
        self.bad_rows += 1
        if len(self.bad) < EXAMPLES_KEPT:
            self.bad.append((line, reason))

    def note_copy(self, line: int, of: int) -> None:
        """Count a row that was dropped because an earlier one is the same event."""
        self.duplicates += 1
        if not self.first_copy[0]:
            self.first_copy = line, of

    def note_time(self, line: int, user_id: str, ts_ms: int) -> None:
        """Take the time of an event."""
        self.first_ts_ms = min(self.first_ts_ms or ts_ms, ts_ms)
        self.order.add(line, user_id, ts_ms)

    @property
    def out_of_order(self) -> int:
        """Return how many rows at least are out of the order of time."""
        return self.order.moved

    @property
    def last_ts_ms(self) -> int:
        """Return the newest time, 0 = none."""
        return self.order.newest_ms

    @property
    def unsorted(self) -> bool:
        """Return whether so many rows are out of order that the log must be sorted."""
        return are_many(self.out_of_order, self.rows)

    @property
    def ids_repeat(self) -> bool:
        """Return whether `event_id` is no id of events."""
        return are_many(self.conflicts, self.rows)

    def describe(self, path: Path) -> str:
        """Return one sentence on the bad rows, or "" when there are none."""
        if not self.bad_rows:
            return ""
        line, reason = self.bad[0]
        return (
            f"{path.name}: {self.bad_rows:,} of {self.rows:,} rows could not be read; "
            f"the first is line {line}: {reason}"
        )

    def sentences(self, path: Path) -> list[str]:
        """Return what a person should know of the file, the totals first."""
        totals = f"{path.name}: {self.rows:,} rows, {self.events:,} events"
        if self.last_ts_ms:
            totals += f", {readable(self.first_ts_ms)} to {readable(self.last_ts_ms)} UTC"
        found = [totals, self.describe(path), self._copies(path), self._order(path)]
        return [sentence for sentence in found if sentence]

    def summary(self) -> dict[str, object]:
        """Return the judgement as JSON has it, the same for replay, train and eval."""
        return {
            "rows": self.rows,
            "events": self.events,
            "bad_rows": self.bad_rows,
            "first_bad_rows": [{"line": line, "reason": reason} for line, reason in self.bad],
            "copies_dropped": self.duplicates,
            "out_of_order": self.out_of_order,
            "out_of_order_in_user": self.order.of_user,
            "first_out_of_order_line": self.order.first_line or None,
            "first_ts_ms": self.first_ts_ms or None,
            "last_ts_ms": self.last_ts_ms or None,
        }

    def _copies(self, path: Path) -> str:
        if not self.duplicates:
            return ""
        line, first = self.first_copy
        return (
            f"{path.name}: {self.duplicates:,} rows DROPPED as copies of others; the first is line "
            f"{line}, a copy of line {first}"
        )

    def _order(self, path: Path) -> str:
        if not self.order.first_line:
            return ""
        return (
            f"{path.name}: {self.out_of_order:,} of {self.rows:,} rows are out of the order of "
            f"time ({self.order.of_user:,} behind a newer row of the same user); the first is line "
            f"{self.order.first_line}, {self.order.first_behind_ms / 1000:,.3f} s older than a row "
            "before it"
        )
