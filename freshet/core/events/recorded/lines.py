"""From a file to its rows: compression, encodings, blank lines, and rows that are far too large."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from freshet.core.errors import EventError
from freshet.core.events.codec import INVALID, UNDECODABLE

MAX_ROW_BYTES: Final = 1 << 24  # so much of a row is held in memory
_GZIP: Final = b"\x1f\x8b"
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF32: Final = "text in UTF-32: convert it with `iconv -f UTF-32 -t UTF-8 FILE > utf8.jsonl`"
_UNREADABLE: Final = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save it as CSV",
    b"PAR1": "a Parquet file: convert it, for example with "
    "`python3 -c \"import pandas; pandas.read_parquet('FILE').to_csv('log.csv', index=False)\"`",
    b"Obj\x01": "an Avro file: convert it to JSON lines",
    b"ORC": "an ORC file: convert it to JSON lines",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it with `zstd -d FILE`, or pack it with gzip",
    b"BZh": "packed with bzip2: unpack it with `bunzip2 FILE`, or pack it with gzip",
    b"\xfd7zXZ": "packed with xz: unpack it with `unxz FILE`, or pack it with gzip",
    b"\xff\xfe\0\0": _UTF32,
    b"\0\0\xfe\xff": _UTF32,
    b"SQLite format 3": "an SQLite database: export a table as JSON lines",
}
"""What files begin with that hold no lines."""


class RawRow(NamedTuple):
    """A row as it is in the file.

    Attributes:
        line: its number, from 1, blank lines counted.
        raw: without white space around it; at most `MAX_ROW_BYTES`.
        size: bytes of all of it.
    """

    line: int
    raw: bytes
    size: int


def read_lines(path: Path) -> Iterator[RawRow]:
    """Yield the rows of a file that are not blank.

    Gzip is recognised by its content, UTF-16 and UTF-8 by their marks; Windows' ends of lines are
    taken as any other.

    Raises:
        EventError: the file is none, holds no lines, or ends in the middle of its compression.
    """
    if not path.is_file():
        raise EventError(
            INVALID, f"{path} is no regular file; a log is read twice, so write it to a file first"
        )
    with path.open("rb") as plain:
        head = plain.read(16)
    packed = path.suffix == ".gz" or head.startswith(_GZIP)
    try:
        with io.BufferedReader(gzip.open(path)) if packed else path.open("rb") as file:
            yield from _rows(path, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EventError(UNDECODABLE, f"{path} is damaged or not gzip: {error}") from error


def encoding_of(path: Path) -> str:
    """Return how Python is to decode a file: by the mark at its beginning, UTF-8 without one.

    >>> encoding_of(Path("/nowhere"))
    'utf-8-sig'
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(2)
    except (OSError, EOFError, zlib.error):
        return "utf-8-sig"
    return "utf-16" if head in _UTF16_MARKS else "utf-8-sig"


def _rows(path: Path, file: io.BufferedReader[Any]) -> Iterator[RawRow]:
    head = file.peek(16)[:16]
    for magic, what in _UNREADABLE.items():
        if head.startswith(magic):
            raise EventError(INVALID, f"{path} is {what.replace('FILE', str(path))}")
    if head.startswith(_UTF16_MARKS):
        yield from _utf16_rows(path, file)
        return
    if b"\0" in head:
        order = "BE" if head.startswith(b"\0") else "LE"
        raise EventError(
            INVALID,
            f"{path} holds zero bytes: it is binary, or UTF-16 without a mark; expected JSON lines "
            f"in UTF-8 (`iconv -f UTF-16{order} -t UTF-8 {path} > utf8.jsonl`)",
        )
    line = 0
    while raw := file.readline(MAX_ROW_BYTES):
        line += 1
        size = len(raw)
        if size == MAX_ROW_BYTES and not raw.endswith(b"\n"):
            while rest := file.readline(MAX_ROW_BYTES):
                size += len(rest)
                if rest.endswith(b"\n"):
                    break
        if line == 1:
            raw = raw.removeprefix(_UTF8_MARK)
        if raw := raw.strip():
            yield RawRow(line, raw, max(size, len(raw)))


def _utf16_rows(path: Path, file: io.BufferedReader[Any]) -> Iterator[RawRow]:
    try:
        for line, text in enumerate(io.TextIOWrapper(file, "utf-16", newline="\n"), 1):
            if raw := text.encode("utf-8", "replace").strip():
                yield RawRow(line, raw, len(raw))
    except UnicodeDecodeError as error:
        raise EventError(UNDECODABLE, f"{path} is damaged or not UTF-16: {error}") from error
