"""Rows of a file as events or items, each judged once.

Law: a row is an event, a copy of one, or bad, and is counted as what it is. Copies are rows whose
user and `event_id` came before with the same content, wherever in the file; with other content they
are bad.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import xxhash

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID, TOO_LARGE
from freshet.core.events.recorded.lines import MAX_ROW_BYTES, RawRow, read_lines
from freshet.core.events.recorded.names import made_event_id
from freshet.core.events.recorded.part import RecordedRow
from freshet.core.events.recorded.report import ReadReport
from freshet.core.events.recorded.rows import Row, events_of, item_of
from freshet.core.events.recorded.shapes import catalogue_hint, hint
from freshet.core.events.schema import Event, Item

Read = TypeVar("Read")

HOPELESS_ROWS: Final = 100  # so many unreadable ones before the first good one: not a log
_HINT_ROWS: Final = 20

log = logging.getLogger(__name__)


def read_rows(path: Path | str, report: ReadReport | None = None) -> Iterator[RecordedRow]:
    """Yield the events of a recorded log in the order of the file, with their lines.

    Args:
        path: JSON lines, plain or gzip.
        report: filled while reading; when None, bad rows and copies are summed up in the process'
            log.

    Raises:
        EventError: the file is no event log, or ends in the middle of its compression.
    """
    path = Path(path)
    found = ReadReport() if report is None else report
    copies = _Copies(found)

    def adapt(row: Row, raw: RawRow) -> list[Event]:
        explicit = row.get("event_id") not in (None, "")
        events = events_of(row, lambda: made_event_id(path, raw.line, raw.raw), raw.size)
        return events if not explicit or copies.is_new(events, raw.line) else []

    for raw, events in _read(path, adapt, found, skip_copies=True):
        found.events += len(events)
        for event in events:
            found.note_time(raw.line, event.user_id, event.ts_ms)
            yield RecordedRow(raw.line, event)
    if report is None:
        for sentence in found.sentences(path)[1:]:
            log.warning(sentence)


def read_events(path: Path | str, report: ReadReport | None = None) -> Iterator[Event]:
    """Yield the events of a recorded log in the order of the file; see `read_rows`."""
    for row in read_rows(path, report):
        yield row.event


def read_items(path: Path | str, report: ReadReport | None = None) -> list[Item]:
    """Return the catalogue in an items file; of an item given twice, the later row.

    Args:
        path: JSON lines, plain or gzip.
        report: filled while reading; when None, bad rows are summed up in the process' log.

    Raises:
        EventError: the file is no catalogue, or ends in the middle of its compression.
    """
    path = Path(path)
    found = ReadReport() if report is None else report
    read = _read(path, lambda row, raw: item_of(row, raw.size), found)
    items = {item.item_id: item for _, item in read}
    found.events = len(items)
    if report is None and found.bad_rows:
        log.warning(found.describe(path))
    return list(items.values())


class _First(NamedTuple):
    """The row that had an id first."""

    line: int
    content: int


class _Copies:
    """Knows the ids of a log, as hashes of 64 bits."""

    def __init__(self, report: ReadReport) -> None:
        self._report = report
        self._seen: dict[int, _First] = {}

    def is_new(self, events: list[Event], line: int) -> bool:
        """Return whether the events of a row came for the first time; count a copy otherwise.

        What the events say is compared: the order of the columns and white space say nothing.

        Raises:
            ValidationError: their id came before with other content.
        """
        event = events[0]
        name = xxhash.xxh3_64_intdigest(f"{event.user_id}\0{event.event_id}".encode())
        content = xxhash.xxh3_64_intdigest(msgspec.json.encode(events, order="sorted"))
        first = self._seen.setdefault(name, _First(line, content))
        if first.line == line:
            return True
        if first.content == content:
            self._report.note_copy(line, first.line)
            return False
        self._report.conflicts += 1
        raise msgspec.ValidationError(
            f"event_id {event.event_id!r} is that of line {first.line}, which has other content; "
            "an id names one event: leave the column out, and ids are made"
        )


def _read(
    path: Path,
    adapt: Callable[[Row, RawRow], Read],
    report: ReadReport,
    *,
    skip_copies: bool = False,
) -> Iterator[tuple[RawRow, Read]]:
    """Yield what each readable row adapts to, filling the report.

    Args:
        path: of the file.
        adapt: takes a row apart; may change it.
        report: of the file.
        skip_copies: whether a row of exposures that equals the row before it is skipped, as in
            logs; a catalogue has none.
    """
    decode = msgspec.json.Decoder(Row).decode
    digest = xxhash.xxh3_128()
    last = RawRow(0, b"", 0)
    first_rows: list[bytes] = []
    for row in read_lines(path):
        report.rows, report.lines = report.rows + 1, row.line
        digest.update(row.raw)
        digest.update(b"\n")
        if len(first_rows) < _HINT_ROWS:
            first_rows.append(row.raw)
        if skip_copies and row.raw == last.raw and _is_exposure(row.raw):
            report.note_copy(row.line, last.line)
            continue
        last = row
        try:
            if row.size > MAX_ROW_BYTES:
                raise msgspec.ValidationError(f"{TOO_LARGE}: {row.size:,} bytes")
            adapted = adapt(decode(row.raw), row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            report.note_bad(row.line, _reason(error, row.raw))
            if report.bad_rows == report.rows == HOPELESS_ROWS:
                break
            continue
        yield row, adapted
    if report.rows and report.bad_rows == report.rows:
        advice = hint(path, first_rows) if skip_copies else catalogue_hint(first_rows)
        if advice and not first_rows[0].startswith(b"{"):  # then the reason is that it is no JSON
            found = f"{path.name}: none of {report.rows:,} rows could be read"
        else:
            found = report.describe(path)
        raise EventError(INVALID, f"{found}; {advice or 'is it the right file?'}")
    report.digest = digest.hexdigest()


def _is_exposure(raw: bytes) -> bool:
    return b'"click":' in raw and b'"event_id"' not in raw


def _reason(error: Exception, raw: bytes) -> str:
    """Return why a row is bad, in words where the decoder's own say little."""
    if raw.endswith(b"},") and isinstance(error, msgspec.DecodeError):
        return f"{error}: there is a comma behind the row; expected one JSON object on each line"
    return str(error)
