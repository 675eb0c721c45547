"""Recorded logs: JSON lines, plain or gzip, of our own shape or of common others, as events.

Law: the same file gives the same events with the same ids, whoever reads it. Event time is kept as
recorded. A row that cannot be read is counted with its line number and reason, never dropped in
silence; a file of which nothing can be read is an error.

Shapes beside our own (`Event`, as on Kafka):

- `ts` stands for `ts_ms`; a missing `event_id` becomes the log's name and the row's number.
- An `impression` with a `click` column is an impression, and a click of its own when that is 1.
  Such logs repeat rows, so an exact adjacent copy is dropped.
- A `purchase` with `quantity` and `price` has their product as `value`.
- A `campaign` column means that item ids are local to the campaign.
- Every other column goes into `context` (of an item: into `attributes`).
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID, UNDECODABLE
from freshet.core.events.schema import Event, Item

Row = dict[str, Any]
Read = TypeVar("Read")

EXAMPLES_KEPT: Final = 10
HOPELESS_ROWS: Final = 100  # so many unreadable ones before the first good one: not a log

_EVENT_FIELDS = frozenset(Event.__struct_fields__)
_CATEGORY_COLUMNS = ("categories", "category", "genres", "tags")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ReadReport:
    """What reading a file came to.

    Attributes:
        bad: the first bad rows, as (line number from 1, reason).
    """

    rows: int = 0
    events: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)

    def note_bad(self, line: int, reason: str) -> None:
        """Count a row that could not be read."""
        self.bad_rows += 1
        if len(self.bad) < EXAMPLES_KEPT:
            self.bad.append((line, reason))

    def describe(self, path: Path) -> str:
        """Return one sentence on the bad rows, or "" when there are none."""
        if not self.bad_rows:
            return ""
        line, reason = self.bad[0]
        return (
            f"{path.name}: {self.bad_rows} of {self.rows} rows could not be read; "
            f"the first is line {line}: {reason}"
        )


def read_events(path: Path | str, report: ReadReport | None = None) -> Iterator[Event]:
    """Yield the events of a recorded log in the order of the file.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file.
        report: filled while reading; when None, bad rows are summed up in the process' log.

    Raises:
        EventError: the file is no event log, or ends in the middle of its compression.
    """
    path = Path(path)
    found = ReadReport() if report is None else report
    name = log_name(path)

    def adapt(row: Row) -> list[Event]:
        rows = _event_rows(row, name, found.rows)
        return [msgspec.convert(each, Event) for each in rows]

    for events in _read(path, adapt, found, skip_copies=True):
        found.events += len(events)
        yield from events
    if report is None and found.bad_rows:
        log.warning(found.describe(path))


def read_items(path: Path | str, report: ReadReport | None = None) -> list[Item]:
    """Return the catalogue in an items file; of an item given twice, the later row.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file.
        report: filled while reading; when None, bad rows are summed up in the process' log.

    Raises:
        EventError: the file is no catalogue, or ends in the middle of its compression.
    """
    path = Path(path)
    found = ReadReport() if report is None else report
    items = {item.item_id: item for item in _read(path, _item, found)}
    if report is None and found.bad_rows:
        log.warning(found.describe(path))
    return list(items.values())


def count_rows(path: Path | str) -> int:
    """Return the number of rows of a file, for a progress bar.

    Raises:
        EventError: the file ends in the middle of its compression.
    """
    return sum(1 for _ in _lines(Path(path)))


def log_name(path: Path) -> str:
    """Return the name of a log, short enough to begin the ids of its events.

    >>> log_name(Path("/data/films.events.jsonl.gz"))
    'films'
    """
    return path.name.split(".")[0][:40]


def items_file_of(path: Path | str) -> Path | None:
    """Return the items file beside an events file, `X.items.*` for `X.events.*`, if there is one.

    >>> items_file_of("/nowhere/films.events.jsonl") is None
    True
    """
    path = Path(path)
    stem = path.name.split(".")[0]
    candidates = [path.with_name(f"{stem}.items{end}") for end in (".jsonl.gz", ".jsonl")]
    return next((file for file in candidates if file != path and file.exists()), None)


def _read(
    path: Path, adapt: Callable[[Row], Read], report: ReadReport, *, skip_copies: bool = False
) -> Iterator[Read]:
    """Yield what each readable row adapts to, filling the report.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file.
        adapt: takes a row apart; may change it.
        report: its `rows` is the number of the row in hand.
        skip_copies: whether a row of exposures that equals the row before it is skipped.
    """
    decode = msgspec.json.Decoder(Row).decode
    last = b""
    for line in _lines(path):
        report.rows += 1
        if skip_copies and line == last and b'"click":' in line and b'"event_id"' not in line:
            report.duplicates += 1
            continue
        last = line
        try:
            adapted = adapt(decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            report.note_bad(report.rows, str(error))
            if report.bad_rows == report.rows == HOPELESS_ROWS:
                break
            continue
        yield adapted
    if report.rows and report.bad_rows == report.rows:
        raise EventError(INVALID, f"{report.describe(path)}; is it the right file?")


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            yield from file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise EventError(UNDECODABLE, f"{path} is damaged or not gzip: {error}") from error


def _event_rows(row: Row, name: str, number: int) -> list[Row]:
    """Return the fields of the events that one row stands for."""
    if "event_id" in row and "ts_ms" in row:
        return [row]
    if "arm" in row and "user_id" not in row:
        raise msgspec.ValidationError(
            "a row of a table of experiment arms (no user, no order), expected an event"
        )
    clicked = row.pop("click", None)
    fields = {column: row.pop(column) for column in list(row) if column in _EVENT_FIELDS}
    fields.setdefault("event_id", f"{name}:{number}")
    if "ts" in row:
        fields["ts_ms"] = row.pop("ts")
    _take_identifiers(row, fields)
    if fields.get("type") == "purchase" and "value" not in fields:
        price, quantity = row.get("price"), row.get("quantity", 1)
        if isinstance(price, int | float) and isinstance(quantity, int | float):
            fields["value"] = price * quantity
    context = fields.pop("context", None)
    if isinstance(context, dict):
        row.update(context)
    elif context is not None:
        row["context"] = context
    if row:
        fields["context"] = row
    if clicked == 1 and fields.get("type") == "impression":
        return [fields, fields | {"event_id": f"{fields['event_id']}c", "type": "click"}]
    return [fields]


def _item(row: Row) -> Item:
    if "user_id" in row:
        raise msgspec.ValidationError("a row about a user, expected an item of the catalogue")
    row.pop("type", None)
    fields: Row = {}
    if "ts" in row:
        fields["created_ts_ms"] = row.pop("ts")
    for column in ("created_ts_ms", "title", "price", "item_id"):
        if row.get(column) is not None:
            fields[column] = row.pop(column)
    _take_identifiers(row, fields)
    for column in _CATEGORY_COLUMNS:
        found = row.pop(column, None)
        if found:
            fields["categories"] = found if isinstance(found, list) else [found]
            break
    attributes = row.pop("attributes", None)
    if isinstance(attributes, dict):
        row.update(attributes)
    fields["attributes"] = {
        name: value for name, value in row.items() if not isinstance(value, dict | list)
    }
    return msgspec.convert(fields, Item)


def _take_identifiers(row: Row, fields: Row) -> None:
    """Make identifiers strings, and items of a campaign the campaign's own."""
    for column in ("user_id", "item_id", "session_id"):
        if isinstance(fields.get(column), int):
            fields[column] = str(fields[column])
    if "campaign" in row and "item_id" in fields:
        fields["item_id"] = f"{row['campaign']}-{fields['item_id']}"
