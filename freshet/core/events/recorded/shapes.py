"""What a file looks like that is no log of ours, and one line that makes it one.

Law: only what the first rows show is said, and the line works as it stands, in a shell with Python
3.11, on the whole file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, Final, NamedTuple

import msgspec

from freshet.core.events.recorded.conversion import Source, conversion, opened

_DELIMITERS: Final = {"::": "rows with '::' between the columns", "\t": "TSV", ";": "CSV with ';'",
                      ",": "CSV", "|": "CSV with '|'"}  # fmt: skip
_MOVIELENS: Final = ("user", "item", "rating", "timestamp")
_TRIPLE: Final = ("user", "item", "timestamp")
WHOLE_SHARE: Final = 0.75  # of the first rows: so many have as many columns as the first
_NEEDED: Final = "expected JSON lines with type, user_id, item_id and ts_ms"


class _Table(NamedTuple):
    """Rows with a delimiter.

    Attributes:
        header: names of the columns, None when the file has none.
        rows: cells of the first rows.
    """

    delimiter: str
    header: list[str] | None
    rows: list[list[str]]


def hint(path: Path, first_rows: Sequence[bytes]) -> str:
    """Return what a file of which nothing could be read looks like, and what to do; "" = no idea.

    Args:
        path: of the file.
        first_rows: its first rows that are not blank.

    >>> hint(Path("a.json"), [b'[{"user_id": "u"}]'])[:41]
    'this looks like one JSON array; expected '
    """
    if not first_rows:
        return ""
    head = first_rows[0]
    if head.startswith(b"["):
        return _document(path, first_rows, "one JSON array", "json.load({file})")
    if head.startswith(b"{"):
        return _json(path, first_rows)
    table = _table([row.decode("utf-8", "replace") for row in first_rows])
    return "" if table is None else _of_table(path, table)


def catalogue_hint(first_rows: Sequence[bytes]) -> str:
    """Return what a file of which no item could be read looks like; "" = no idea.

    >>> catalogue_hint([b"item_id,title", b"1,Oolong"])[:56]
    'this looks like CSV with the columns item_id, title; exp'
    """
    what = "one JSON array" if first_rows and first_rows[0].startswith(b"[") else ""
    table = _table([row.decode("utf-8", "replace") for row in first_rows])
    if table is not None and not what and not first_rows[0].startswith(b"{"):
        header = f" with the columns {', '.join(table.header)}" if table.header else ""
        what = f"{_DELIMITERS[table.delimiter]}{header}"
    needed = "expected a catalogue of JSON lines, each with item_id, and title, categories or price"
    return f"this looks like {what}; {needed}" if what else ""


def _json(path: Path, first_rows: Sequence[bytes]) -> str:
    rows = [row for row in map(_decoded, first_rows) if row is not None]
    if not rows:
        return _document(path, first_rows, "one JSON document over several lines", "")
    for name, value in rows[0].items():
        if len(rows) == 1 and isinstance(value, list) and value and isinstance(value[0], dict):
            what = f"one JSON document with a list {name!r}"
            source = Source(f"json.load({{file}})[{name!r}]", value, typed=True)
            return _advice(path, what, source)
    if "item_id" in rows[0] and not {"user_id", "arm"} & set(rows[0]) and "type" not in rows[0]:
        return "this looks like a catalogue: expected the events; name it with --items"
    columns = ", ".join(map(str, rows[0]))
    source = Source("(json.loads(l) for l in {file} if l.strip())", rows, typed=True)
    return _advice(path, f"JSON lines with the columns {columns}", source, only_whole=True)


def _document(path: Path, first_rows: Sequence[bytes], what: str, rows: str) -> str:
    joined = b"\n".join(first_rows)
    found = _listed(joined) if rows else None
    if found:
        return _advice(path, what, Source(rows, found, typed=True))
    if rows and (file := opened(path)):
        each = f"[print(json.dumps(r)) for r in json.load({file})]"
        line = f'python3 -c "import gzip, json; {each}" > {quote(_target(path))}'
        return f"this looks like {what}; {_NEEDED}, one object on each line. Convert it: {line}"
    return f"this looks like {what}; {_NEEDED}, one object on each line"


def _of_table(path: Path, table: _Table) -> str:
    what = _DELIMITERS[table.delimiter]
    if table.header is not None:
        names: Sequence[str] = table.header
        reader = _reader("DictReader", table.delimiter)
    else:
        names = _names_of(table.rows)
        reader = _reader("reader", table.delimiter)
    what += f" with {'the columns ' if table.header else 'no header; the first row is '}"
    what += ", ".join(table.header or table.rows[0])
    if not names:
        return f"this looks like {what}; {_NEEDED}"
    rows = [dict(zip(names, cells, strict=False)) for cells in table.rows]
    places = None if table.header is not None else {name: n for n, name in enumerate(names)}
    return _advice(path, what, Source(reader, rows, places))


def _advice(path: Path, what: str, source: Source, *, only_whole: bool = False) -> str:
    """Return the sentence, with a conversion when the columns are understood."""
    found = conversion(path, _target(path), source)
    units = f", times in {found.unit}" if found.unit not in ("", "milliseconds") else ""
    if not found.line:
        lacking = (
            f" No column was recognised as {', '.join(found.lacking)}."
            if found.lacking
            else " Without quotes in the names of file and columns, a line could be given that "
            "converts it."
        )
        return (
            ""
            if only_whole and not found.unit
            else f"this looks like {what}{units}; {_NEEDED}.{lacking}"
        )
    return f"this looks like {what}{units}; {_NEEDED}. Convert it: {found.line}"


def _target(path: Path) -> str:
    """Return a name for the converted log."""
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0].removesuffix(".events") or path.name
    return f"{stem}.converted.events.jsonl"


def _table(lines: Sequence[str]) -> _Table | None:
    """Return the table that lines are, None when they are none; few may be broken."""
    for delimiter in _DELIMITERS:
        cells = [_cells(line, delimiter) for line in lines]
        rows = [row for row in cells if len(row) == len(cells[0])]
        if len(cells[0]) > 1 and len(rows) >= WHOLE_SHARE * len(cells):
            header = rows[0] if not any(map(_is_number, rows[0])) else None
            body = rows[1:] if header and len(rows) > 1 else rows
            return _Table(delimiter, header, body)
    return None


def _cells(line: str, delimiter: str) -> list[str]:
    if len(delimiter) > 1:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def _names_of(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of columns without a header, as MovieLens and its like have them."""
    wide = len(rows[0])
    if wide == len(_MOVIELENS) and all(_is_number(row[2]) and float(row[2]) <= 10 for row in rows):
        return _MOVIELENS
    return _TRIPLE if wide == len(_TRIPLE) else ()


def _reader(kind: str, delimiter: str) -> str:
    if len(delimiter) > 1:
        return f"(l.rstrip('\\n').split({delimiter!r}) for l in {{file}})"
    how = "" if delimiter == "," else f", delimiter={delimiter!r}"
    return f"csv.{kind}({{file}}{how})"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _decoded(raw: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _listed(raw: bytes) -> list[dict[str, Any]]:
    """Return the objects at the beginning of an array, as far as they are whole."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
