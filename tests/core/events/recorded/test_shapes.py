"""Files of other shapes: what they look like is said, and the line that is advised works."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from freshet.core.errors import EventError
from freshet.core.events.recorded import open_log, read_events, read_items
from freshet.core.events.recorded.part import Part

RETAILROCKET = (
    "timestamp,visitorid,event,itemid,transactionid\n"
    "1433221332117,257597,view,355908,\n"
    + "1433221332118,257597,view,355908,\n"
    * 30  # the first rows show one type alone
    + "1433224214164,992329,addtocart,248676,\n"
    "1433221999827,111016,transaction,318965,5\n"
)
MOVIELENS_100K = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n"
MOVIELENS_1M = "1::1193::5::978300760\n1::661::3::978302109\n"
MOVIELENS_CSV = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,3,4.5,964981247\n"
PERSONALIZE = (
    "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n35,73,watch,1586731606\n54,35,click,1586731609\n"
)
ISO_JSON = (
    '{"user": "u", "item": "i", "event": "click", "time": "2025-11-24T16:00:00Z"}\n'
    '{"user": "u", "item": "j", "event": "click", "time": "2025-11-24T16:00:01Z"}\n'
)
SECONDS_JSON = '{"type": "click", "user_id": "u", "item_id": "i", "ts": 1764000000}\n'
ARRAY = json.dumps([json.loads(SECONDS_JSON)] * 2)


@pytest.mark.parametrize(
    ("name", "text", "words", "event"),
    [
        ("events.csv", RETAILROCKET, "looks like CSV with the columns timestamp, visitorid, event",
         ("view", "257597", "355908", 1_433_221_332_117, None)),
        ("u.data", MOVIELENS_100K, "looks like TSV with no header.*times in seconds",
         ("rating", "196", "242", 881_250_949_000, 3.0)),
        ("ratings.dat", MOVIELENS_1M, "looks like rows with '::'.*times in seconds",
         ("rating", "1", "1193", 978_300_760_000, 5.0)),
        ("ratings.csv", MOVIELENS_CSV, "looks like CSV with the columns userId.*in seconds",
         ("rating", "1", "1", 964_982_703_000, 4.0)),
        ("p.csv", PERSONALIZE, "columns USER_ID, ITEM_ID, EVENT_TYPE.*times in seconds",
         ("view", "35", "73", 1_586_731_606_000, None)),
        ("iso.jsonl", ISO_JSON, "JSON lines with the columns user, .*times in ISO 8601",
         ("click", "u", "i", 1_764_000_000_000, None)),
        ("s.jsonl", SECONDS_JSON * 3, "times in seconds",
         ("click", "u", "i", 1_764_000_000_000, None)),
        ("a.json", ARRAY, "looks like one JSON array",
         ("click", "u", "i", 1_764_000_000_000, None)),
        ("w.json", json.dumps({"events": json.loads(ARRAY)}), "one JSON document with a list 'ev",
         ("click", "u", "i", 1_764_000_000_000, None)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_the_shape_is_named_and_the_line_converts_it(
    tmp_path: Path, name: str, text: str, words: str, event: tuple, packed: bool
) -> None:
    """What comes out is a log that is read to the row."""
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(EventError, match=words) as refused:
        open_log(path)
    line = str(refused.value).split("Convert it: ")[1]
    line = re.sub(r"^python3", sys.executable, line)
    subprocess.run(line, shell=True, cwd=tmp_path, check=True)
    (converted,) = tmp_path.glob("*.converted.events.jsonl")
    log = open_log(converted, part=Part(sort=True))
    assert log.report.bad_rows == 0
    found = list(log.events())
    rows = {(e.type, e.user_id, e.item_id, e.ts_ms, e.value) for e in found}
    assert event in rows
    assert all(row[0] in {"view", "cart", "purchase", "rating", "click"} for row in rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a,b\n1,2\n",
            "looks like CSV with the columns a, b; .*No column was recognised as user_id",
        ),
        ("userId,movieId,timestamp\n1,2,yesterday\n", "'timestamp' is no time that is understood"),
        ('{\n  "user_id": 1\n}\n', "one JSON document over several lines"),
        ('[\n  {"user_id": 1},\n', "one JSON array"),
        ("1,2,3,4,5\n1,2,3,4,5\n", "looks like CSV with no header; the first row is 1, 2"),
        ('user_id,item_id,ts"ms\n1,2,3\n', "looks like CSV"),
        ("hello\nworld\n", "is it the right file"),
    ],
)
def test_what_is_not_understood_is_named_all_the_same(
    tmp_path: Path, text: str, words: str
) -> None:
    """Without a line that would not work."""
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(EventError, match=words) as refused:
        list(read_events(path))
    assert 'Convert it: python3 -c "import csv' not in str(refused.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "latin-1"])
def test_the_line_works_however_the_table_is_packed_and_encoded(
    tmp_path: Path, mark: str, packed: bool
) -> None:
    """Ids with bytes that are no UTF-8 stay different ones."""
    text = "user_id;item_id;ts\nu;caf\xe9;1764000000\nu;caf\xe8;1764000001\n"
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    raw = text.encode(mark)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    rows = _converted(tmp_path, path)
    assert len({row["item_id"] for row in rows}) == 2
    assert [row["ts_ms"] for row in rows] == [1_764_000_000_000, 1_764_000_001_000]


def test_who_is_not_named_becomes_nobody_and_not_a_user_called_none(tmp_path: Path) -> None:
    """Such rows, ragged ones and empty values do not end the conversion either."""
    path = tmp_path / "p.jsonl"
    row = {"user": "u", "item": 7, "rating": 4, "timestamp": 1_764_000_000}
    without = [{**row, "user": None}, {**row, "rating": None}, {"user": "u", "item": 8}]
    path.write_text("\n\n".join(json.dumps(each) for each in [row, *without]))
    _converted(tmp_path, path)
    log = open_log(tmp_path / "p.converted.events.jsonl")
    assert [(event.user_id, event.value) for event in log.events()] == [("u", 4.0), ("u", None)]
    assert log.report.bad_rows == 2
    table = tmp_path / "v.csv"
    table.write_text("user_id,item_id,timestamp,value\nu,i,1764000000,\nu,j,1764000001,2\nu\n")
    rows = _converted(tmp_path, table)
    assert [(row["user_id"], row["ts_ms"], row["value"]) for row in rows] == [
        ("u", 1_764_000_000_000, None), ("u", 1_764_000_001_000, 2.0), ("u", None, None)
    ]  # fmt: skip


def test_fields_that_are_called_as_ours_stay(tmp_path: Path) -> None:
    """Without them copies, answers, slots and clicks were lost with the unit of the times."""
    kept = {
        "event_id": "e", "session_id": "s", "request_id": "r", "position": 0, "click": 1,
        "context": {"a": 1},
    }  # fmt: skip
    row = {"type": "impression", "user_id": "u", "item_id": "i", "ts_ms": 1_764_000_000} | kept
    path = tmp_path / "s.events.jsonl"
    path.write_text(json.dumps(row))
    assert _converted(tmp_path, path) == [row | {"ts_ms": 1_764_000_000_000}]
    shown, clicked = open_log(tmp_path / "s.converted.events.jsonl").events()
    assert (shown.event_id, shown.position, clicked.type) == ("e", 0, "click")


def test_an_array_over_several_lines_is_unpacked_too(tmp_path: Path) -> None:
    """It is given row by row, in whatever unit."""
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"user_id": "u"}] * 30, indent=1).encode()))
    assert _converted(tmp_path, path) == [{"user_id": "u"}] * 30


def test_the_copy_of_a_download_is_converted_too(tmp_path: Path) -> None:
    """A shell takes spaces and parentheses apart."""
    table = tmp_path / "log (1).csv"
    table.write_text("user_id,item_id,ts\nu,i,1764000000\n")
    assert _converted(tmp_path, table)[0]["ts_ms"] == 1_764_000_000_000
    array = tmp_path / "log & more.json"
    array.write_text(json.dumps([{"user_id": "u"}] * 30, indent=1))
    assert _converted(tmp_path, array) == [{"user_id": "u"}] * 30


def test_names_with_quotes_are_named_as_the_hindrance(tmp_path: Path) -> None:
    """A column is not."""
    path = tmp_path / "what's.csv"
    path.write_text("user_id,item_id,ts\nu,i,1764000000\n")
    with pytest.raises(EventError, match="looks like CSV") as refused:
        list(read_events(path))
    assert "Without quotes in the names" in str(refused.value)
    assert "No column" not in str(refused.value)


def test_of_a_catalogue_no_columns_of_events_are_expected(tmp_path: Path) -> None:
    """A table, or an array."""
    for text in ("item_id,title\n1,a\n2,b\n", '[{"item_id": "1"}]\n'):
        path = tmp_path / "c.items.jsonl"
        path.write_text(text)
        with pytest.raises(EventError, match="expected a catalogue") as refused:
            read_items(path)
        assert "user_id" not in str(refused.value)


def _converted(folder: Path, path: Path) -> list[dict]:
    """Return the rows that the advised line makes of a file."""
    with pytest.raises(EventError, match="Convert it: ") as refused:
        open_log(path)
    line = str(refused.value).split("Convert it: ")[1]
    subprocess.run(re.sub(r"^python3", sys.executable, line), shell=True, cwd=folder, check=True)
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0].removesuffix(".events")
    text = (folder / f"{stem}.converted.events.jsonl").read_text()
    return [json.loads(row) for row in text.splitlines()]
