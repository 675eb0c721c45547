"""A recorded log, judged: refused in words, or ready to be read as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID
from freshet.core.events.recorded.names import items_file_of, log_name
from freshet.core.events.recorded.part import Part, RecordedRow
from freshet.core.events.recorded.read import read_items, read_rows
from freshet.core.events.recorded.report import ReadReport
from freshet.core.events.recorded.times import readable
from freshet.core.events.schema import Event, Item


@dataclass(frozen=True, slots=True)
class RecordedLog:
    """A log that was read once and found good.

    Attributes:
        path: of the events.
        items_path: of the catalogue, None without one.
        report: the judgement of the events.
        items_report: the judgement of the catalogue.
        part: what of it is wanted.
        catalogue: its items with the times of the file; None without one.
        kept: the rows of the file, where they are held in memory.
    """

    path: Path
    items_path: Path | None
    report: ReadReport
    items_report: ReadReport
    part: Part
    catalogue: Sequence[Item] | None
    kept: Sequence[RecordedRow] | None = field(repr=False)

    @property
    def name(self) -> str:
        """Return what it is called."""
        return log_name(self.path)

    def rows(self) -> Iterator[RecordedRow]:
        """Yield the events of the part, with their lines; rows that were appended since are not."""
        last = self.report.lines
        rows = self.kept if self.kept is not None else read_rows(self.path, ReadReport())
        return self.part.of(takewhile(lambda row: row.line <= last, rows))

    def events(self) -> Iterator[Event]:
        """Yield the events of the part."""
        return (row.event for row in self.rows())

    def items(self) -> list[Item] | None:
        """Return the catalogue with the times of the part; None without one."""
        return None if self.catalogue is None else self.part.of_items(self.catalogue)

    def taken(self, part: Part) -> RecordedLog:
        """Return the same log with another part of it."""
        return replace(self, part=part)

    def extent(self) -> tuple[int, int, int]:
        """Return how many events the part has, and the oldest and newest of their times, ms."""
        part = self.part
        if not (part.from_ms or part.to_ms or part.limit):
            found, shift_ms = self.report, part.shift_ms
            return found.events, found.first_ts_ms + shift_ms, found.last_ts_ms + shift_ms
        times = [event.ts_ms for event in self.events()]
        return len(times), min(times), max(times)

    def sentences(self) -> list[str]:
        """Return what a person should know of log and catalogue."""
        found = self.report.sentences(self.path)
        if self.items_path is not None:
            found.append(
                f"{self.items_path.name}: {self.items_report.events:,} items of the catalogue"
            )
            found += [
                sentence for sentence in [self.items_report.describe(self.items_path)] if sentence
            ]
        if self.report.unsorted and self.part.sort:
            found.append(f"{self.path.name}: sorted by time, as --sort wishes")
        return found

    def summary(self) -> dict[str, object]:
        """Return the judgement as JSON has it."""
        catalogue = {
            "items": self.items_report.events,
            "items_bad_rows": self.items_report.bad_rows,
        }
        return self.report.summary() | {"sorted": self.part.sort} | catalogue


def open_log(
    path: Path | str,
    items_path: Path | str | None = None,
    *,
    part: Part | None = None,
    keep: bool = False,
    report: Callable[[int], None] = lambda _rows: None,
) -> RecordedLog:
    """Read a log once and judge it.

    Args:
        path: of the events.
        items_path: of the catalogue; when None, the one beside the log.
        part: what of it is wanted; all when None.
        keep: whether its rows are held in memory, for whoever needs them all at once.
        report: called now and then with the rows read so far.

    Raises:
        EventError: it is no log, is empty, holds nothing of the part, repeats its ids, or is out of
            the order of time and is not to be sorted.
    """
    path, part = Path(path), part or Part()
    found, items_report = ReadReport(), ReadReport()
    items_path = Path(items_path) if items_path else items_file_of(path)
    rows, held = [], 0
    for row in read_rows(path, found):
        if keep or part.sort:
            rows.append(row)
        held += part.holds(row.event.ts_ms)
        if not found.rows % 10_000:
            report(found.rows)
    _require_sound(path, found, part, held)
    items = read_items(items_path, items_report) if items_path else None
    kept = rows if keep or part.sort else None
    return RecordedLog(path, items_path, found, items_report, part, items or None, kept)


def _require_sound(path: Path, found: ReadReport, part: Part, held: int) -> None:
    """Refuse a log that would be learned wrongly.

    Args:
        path: of the log.
        found: its judgement.
        part: what is wanted.
        held: how many of its events are.
    """
    if not found.events:
        raise EventError(INVALID, f"{path.name} holds no events; expected JSON lines")
    if found.ids_repeat:
        raise EventError(
            INVALID,
            f"{found.describe(path)}. {found.conflicts:,} of {found.rows:,} rows repeat the "
            "event_id of another event of their user",
        )
    if found.unsorted and not part.sort:
        raise EventError(
            INVALID,
            f"{found.sentences(path)[-1]}. Expected a log in the order of time: what follows what "
            "would be learned backwards. --sort sorts it (in memory), by ts_ms",
        )
    if not held:
        raise EventError(
            INVALID,
            f"{path.name} has no event between --from and --to; it goes from "
            f"{readable(found.first_ts_ms)} to {readable(found.last_ts_ms)} UTC",
        )
