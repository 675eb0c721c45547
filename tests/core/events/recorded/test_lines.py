"""Files as people have them: packed, marked, from Windows, cut off, or no lines at all."""

import gzip
from pathlib import Path

import pytest

from freshet.core.errors import EventError
from freshet.core.events.recorded import lines
from freshet.core.events.recorded.lines import read_lines

TEXT = '{"a": 1}\n{"b": "ä"}\n'
ROWS = [(1, b'{"a": 1}'), (2, '{"b": "ä"}'.encode())]


def _rows(path: Path) -> list[tuple[int, bytes]]:
    return [(row.line, row.raw) for row in read_lines(path)]


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-be").replace(b"\0{", b"\xfe\xff\0{", 1),
        TEXT.replace("\n", "\r\n").encode("utf-16"),
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT[:9].encode()) + gzip.compress(TEXT[9:].encode()),
        gzip.compress(TEXT.encode("utf-8-sig")),
    ],
)
def test_the_same_rows_however_they_are_written(tmp_path: Path, raw: bytes) -> None:
    """Gzip needs no ending."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(raw)
    assert _rows(path) == ROWS


def test_blank_lines_are_none_but_keep_the_numbers(tmp_path: Path) -> None:
    """A person finds the row in an editor."""
    path = tmp_path / "log.jsonl"
    path.write_text("\n\n  \n{}\n\r\n{}\n\n")
    assert [line for line, _ in _rows(path)] == [4, 6]
    path.write_text("")
    assert _rows(path) == []


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"PK\x03\x04....", "zip archive or a spreadsheet"),
        (b"PAR1....", "Parquet"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"BZh9....", "bunzip2"),
        (TEXT.encode("utf-16-le"), "UTF-16 without a mark.*-f UTF-16LE"),
        (TEXT.encode("utf-16-be"), "UTF-16 without a mark.*-f UTF-16BE"),
        (TEXT.encode("utf-32"), "UTF-32"),
        (b"\0\0\0\0", "binary"),
        (b"\x1f\x8bnot", "damaged"),
        (gzip.compress(TEXT.encode() * 99)[:-9], "damaged"),
        (b"\xff\xfe{\0\n\0\0", "damaged"),
    ],
)
def test_what_holds_no_rows_is_refused_in_words(tmp_path: Path, raw: bytes, words: str) -> None:
    """Also what ends in the middle."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(raw)
    with pytest.raises(EventError, match=words):
        _rows(path)


def test_a_folder_or_a_pipe_is_no_log(tmp_path: Path) -> None:
    """It could not be read twice."""
    with pytest.raises(EventError, match="no regular file"):
        _rows(tmp_path)


@pytest.mark.parametrize("size", [15, 16, 17, 40])
def test_a_row_that_is_far_too_large_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Its end is no row of its own, and its size is known."""
    monkeypatch.setattr(lines, "MAX_ROW_BYTES", 16)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"x" * size + b"\nnext\n")
    first, second = read_lines(path)
    assert (first.line, first.raw) == (1, b"x" * min(size, 16))
    assert (first.size > 16) == (size > 15)
    assert (second.line, second.raw) == (2, b"next")
