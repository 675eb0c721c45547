"""Recorded logs as events: every shape, every bad row counted, the same ids each time."""

import gzip
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.errors import EventError
from freshet.core.events.codec import encode
from freshet.core.events.recorded import ReadReport, items_file_of, read_events, read_items
from freshet.core.events.recorded.names import made_event_id
from freshet.core.events.recorded.read import HOPELESS_ROWS
from freshet.core.events.schema import EVENT_TYPES, Event, Item

T = 1_700_000_000_000


def _write(folder: Path, rows: list[Any], name: str = "log.events.jsonl") -> Path:
    path = folder / name
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def _made(row: dict[str, Any], line: int = 1) -> str:
    return made_event_id(Path("log.events.jsonl"), line, json.dumps(row).encode())


def _row(**changes: Any) -> dict[str, Any]:
    return {"ts": T, "type": "click", "user_id": "u", "item_id": "i"} | changes


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    """None is not an error."""
    report = ReadReport()
    assert list(read_events(_write(tmp_path, []), report)) == []
    assert (report.rows, report.events, report.bad_rows) == (0, 0, 0)


def test_plain_and_compressed_files_read_the_same(tmp_path: Path) -> None:
    """The ending decides how the file is opened, not what it says."""
    plain = list(read_events(_write(tmp_path, [_row()])))
    packed = list(read_events(_write(tmp_path, [_row()], "log.events.jsonl.gz")))
    assert (
        plain
        == packed
        == [Event(event_id=_made(_row()), type="click", user_id="u", item_id="i", ts_ms=T)]
    )


def test_our_own_shape_is_read_as_it_is(tmp_path: Path) -> None:
    """What was on Kafka comes back equal."""
    event = Event(event_id="e", type="dwell", user_id="u", item_id="i", ts_ms=T, value=3.5,
                  session_id="s", request_id="r", position=2, context={"a": [1]})  # fmt: skip
    assert list(read_events(_write(tmp_path, [encode(event).decode()]))) == [event]


def test_an_exposure_with_a_click_is_two_events(tmp_path: Path) -> None:
    """The impression comes first, each has an id of its own, the rest is kept as context."""
    rows = [_row(type="impression", click=click, play_ms=9) for click in (1, 0)]
    found = list(read_events(_write(tmp_path, rows)))
    assert [(event.type, event.event_id) for event in found] == [
        ("impression", _made(rows[0])),
        ("click", _made(rows[0]) + "c"),
        ("impression", _made(rows[1], 2)),
    ]
    assert all(event.context == {"play_ms": 9} for event in found)


def test_an_id_of_full_length_has_a_click_too(tmp_path: Path) -> None:
    """Hashes in hexadecimal have 64 digits, and no room for a letter."""
    ids = ["0" * 64, "0" * 63 + "1"]
    path = tmp_path / "log.events.jsonl"
    rows = [_row(type="impression", click=1, event_id=each) for each in ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = ReadReport()
    events = list(read_events(path, report))
    assert [event.type for event in events] == ["impression", "click"] * 2
    assert len({event.event_id for event in events}) == 4
    assert report.bad_rows == 0


def test_exact_adjacent_copies_of_an_exposure_are_dropped(tmp_path: Path) -> None:
    """A copy elsewhere, or of an event of another kind, is an event."""
    one, two = _row(type="impression", click=1), _row(type="impression", click=0)
    report = ReadReport()
    found = list(read_events(_write(tmp_path, [one, one, one, two, one]), report))
    assert (len(found), report.duplicates, report.rows) == (5, 2, 5)
    purchases = _write(tmp_path, [_row(type="purchase")] * 2)
    assert len(list(read_events(purchases))) == 2


def test_a_purchase_is_worth_price_times_quantity(tmp_path: Path) -> None:
    """Odd prices are kept as context, not computed with."""
    rows = [_row(type="purchase", price=0.5, quantity=4), _row(type="purchase", price="?")]
    assert [event.value for event in read_events(_write(tmp_path, rows))] == [2.0, None]


def test_items_of_a_campaign_are_its_own(tmp_path: Path) -> None:
    """The same item id in two campaigns names two items, in events and in the catalogue."""
    rows = [_row(campaign=name, item_id=3) for name in ("men", "women")]
    assert [e.item_id for e in read_events(_write(tmp_path, rows))] == ["men-3", "women-3"]
    items = _write(tmp_path, [{"item_id": "3", "campaign": "men"}], "log.items.jsonl")
    assert [item.item_id for item in read_items(items)] == ["men-3"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "truncated"),
        ('{"a": "\udcff"}'.encode("utf-8", "surrogateescape").decode("latin-1"), "user_id|type"),
        (_row(type="glance"), "type is 'glance', expected one of .*click"),
        (_row(type=["click"]), "type is"),
        (_row(ts=1_700_000_000), "looks like seconds .2023-11-14 22:13:20 UTC"),
        (_row(ts=1_700_000_000.25), "looks like seconds"),
        (_row(ts="1700000000"), "looks like seconds"),
        (_row(ts=T * 1_000), "looks like microseconds"),
        (_row(ts=T * 1_000_000), "looks like nanoseconds"),
        (_row(ts="2023-11-14T22:13:20Z"), "looks like ISO 8601 .2023-11-14 22:13:20 UTC"),
        (_row(ts=0), "from 631152000000"),
        (_row(ts="soon"), "ts_ms is 'soon'"),
        (_row(ts=None), "ts_ms missing or null"),
        (_row(ts=True), "ts_ms is True"),
        (_row(ts=[T]), "ts_ms is"),
        (_row(user_id=""), "user_id"),
        (_row(user_id=None), "user_id missing or null"),
        (_row(user_id=1.5), "user_id"),
        (_row(user_id=True), "user_id"),
        (_row(user_id="x" * 129), "user_id"),
        (_row(item_id=None), "item_id missing or null; the row has the columns ts, type"),
        (_row(context={"x": "y" * 20_000}), "too_large: 20,"),
        (_row(note="y" * 1_100_000), "too_large: 1,100,"),
        (_row(value="NaN"), "value"),
        (json.dumps(_row()).replace('"i"', "NaN"), "malformed"),
        (json.dumps(_row()) + ",", "comma behind the row"),
        ({"ts": T}, "missing"),
        ("[1]", "object"),
    ],
)
def test_a_bad_row_is_counted_and_its_neighbours_are_read(
    tmp_path: Path, bad: Any, reason: str
) -> None:
    """The report names line and reason."""
    report = ReadReport()
    path = _write(tmp_path, [_row(), bad, _row()])
    found = [event.event_id for event in read_events(path, report)]
    assert found == [_made(_row()), _made(_row(), 3)]
    assert (report.bad_rows, report.bad[0][0]) == (1, 2)
    assert re.search(reason, report.bad[0][1])
    assert "1 of 3 rows could not be read; the first is line 2" in report.describe(path)


def test_without_a_report_bad_rows_are_logged(tmp_path: Path, caplog) -> None:
    """Silence is no option."""
    list(read_events(_write(tmp_path, [_row(), "{"])))
    assert "1 of 2 rows could not be read" in caplog.text


@pytest.mark.parametrize("count", [1, HOPELESS_ROWS, HOPELESS_ROWS + 5])
def test_a_file_of_nothing_readable_is_refused(tmp_path: Path, count: int) -> None:
    """A long one is given up early."""
    report = ReadReport()
    with pytest.raises(EventError, match="is it the right file"):
        list(read_events(_write(tmp_path, ["hello"] * count), report))
    assert report.rows == min(count, HOPELESS_ROWS)


def test_a_table_of_arms_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """It looks like a log and has neither users nor order."""
    arms = [{"ts": T, "test_id": "t", "arm": n, "impressions": 9, "clicks": 1} for n in range(3)]
    with pytest.raises(EventError, match="table of experiment arms"):
        list(read_events(_write(tmp_path, arms)))


@pytest.mark.parametrize("damage", [lambda raw: raw[:-20], lambda _: b"plain text"])
def test_a_damaged_file_is_an_error(tmp_path: Path, damage) -> None:
    """A log that ends in mid-stream is never a shorter log."""
    path = _write(tmp_path, [_row(item_id=str(n)) for n in range(100)], "log.events.jsonl.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EventError, match="damaged or not gzip"):
        list(read_events(path))


def test_items_are_adapted(tmp_path: Path) -> None:
    """Each name of categories is known; flat columns are attributes; the later row wins."""
    rows = [
        {"ts": T, "type": "item", "item_id": "a", "title": "old"},
        {"ts": T, "type": "item", "item_id": "a", "title": "A", "category": "c", "price": 2},
        {"item_id": 7, "genres": ["x", "y"], "colour": "red", "f": 0.5, "nested": {"no": 1}},
        {"item_id": "b", "title": None, "tags": ["t"], "attributes": {"k": "v"}},
    ]
    assert read_items(_write(tmp_path, rows, "log.items.jsonl")) == [
        Item(item_id="a", title="A", categories=["c"], price=2.0, created_ts_ms=T),
        Item(item_id="7", categories=["x", "y"], attributes={"colour": "red", "f": 0.5}),
        Item(item_id="b", categories=["t"], attributes={"title": None, "k": "v"}),
    ]


def test_an_event_log_is_no_catalogue(tmp_path: Path) -> None:
    """Taking one for the other is refused."""
    with pytest.raises(EventError, match="a row about a user"):
        read_items(_write(tmp_path, [_row()]))


def test_the_items_file_stands_beside_the_events_file(tmp_path: Path) -> None:
    """Compressed or not, and never the events file itself."""
    events = _write(tmp_path, [], "log.events.jsonl.gz")
    assert items_file_of(events) is None
    items = _write(tmp_path, [], "log.items.jsonl")
    assert items_file_of(events) == items
    assert items_file_of(items) is None


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"ts": str(T)}, "ts_ms", T),
        ({"ts": float(T)}, "ts_ms", T),
        ({"ts": T + 0.75}, "ts_ms", T),
        ({"ts": 874_724_710_000}, "ts_ms", 874_724_710_000),
        ({"user_id": 7}, "user_id", "7"),
        ({"user_id": 7.0}, "user_id", "7"),
        ({"session_id": 7, "event_id": "e", "ts_ms": T}, "session_id", "7"),
        ({"event_id": 12, "ts_ms": T}, "event_id", "12"),
        ({"event_id": "e", "ts_ms": T, "colour": "red"}, "context", {"ts": T, "colour": "red"}),
    ],
)
def test_what_is_clear_is_taken(
    tmp_path: Path, changes: dict[str, Any], name: str, value: Any
) -> None:
    """Numbers as ids, milliseconds as texts or floats, columns beside our own, and 1997."""
    assert [getattr(each, name) for each in read_events(_write(tmp_path, [_row(**changes)]))] == [
        value
    ]


@pytest.mark.parametrize("event_id", [None, ""])
def test_an_id_of_nothing_is_made(tmp_path: Path, event_id: str | None) -> None:
    """As where the column is missing."""
    rows = [_row(event_id=event_id), _row(event_id=event_id)]
    assert len({event.event_id for event in read_events(_write(tmp_path, rows))}) == 2


def test_a_copy_is_dropped_wherever_it_is(tmp_path: Path) -> None:
    """The state remembers few ids of a user; the reader remembers all of a file."""
    rows = [_row(event_id=f"e{n}") for n in range(50)]
    report = ReadReport()
    found = list(read_events(_write(tmp_path, [*rows, rows[0]]), report))
    assert (len(found), report.duplicates, report.first_copy) == (50, 1, (51, 1))
    assert "1 rows DROPPED as copies of others; the first is line 51" in str(
        report.sentences(Path("x"))
    )


def test_a_copy_written_in_another_order_is_a_copy(tmp_path: Path) -> None:
    """Exporters sort columns as they like; what the event says is the same."""
    row = _row(event_id="e", context={"a": 1, "b": 2})
    turned = dict(reversed(row.items())) | {"context": {"b": 2, "a": 1}}
    report = ReadReport()
    assert len(list(read_events(_write(tmp_path, [row, turned]), report))) == 1
    assert (report.duplicates, report.bad_rows) == (1, 0)


def test_the_same_id_of_another_user_is_another_event(tmp_path: Path) -> None:
    """As the folds have it."""
    rows = [_row(event_id="e", user_id=name) for name in "ab"]
    assert len(list(read_events(_write(tmp_path, rows)))) == 2


def test_an_id_with_other_content_is_a_bad_row(tmp_path: Path) -> None:
    """The state would drop it as a copy, in silence."""
    rows = [_row(event_id="e"), _row(event_id="e", item_id="j")]
    report = ReadReport()
    assert len(list(read_events(_write(tmp_path, rows), report))) == 1
    assert (report.bad_rows, report.conflicts) == (1, 1)
    assert "'e' is that of line 1" in report.bad[0][1]


def test_a_catalogue_entry_that_no_worker_takes_is_named(tmp_path: Path) -> None:
    """Its neighbours are read."""
    rows = [{"item_id": "a", "note": "x" * 20_000}, {"item_id": "b"}]
    report = ReadReport()
    items = read_items(_write(tmp_path, rows, "log.items.jsonl"), report)
    assert [item.item_id for item in items] == ["b"]
    assert report.bad[0][0] == 1
    assert "too_large" in report.bad[0][1]


@given(st.lists(st.tuples(st.sampled_from(EVENT_TYPES), st.integers(0, 3)), max_size=20))
@settings(deadline=None)
def test_reading_twice_gives_the_same_events_with_distinct_ids(tmp_path_factory, rows) -> None:
    """Ids are a function of the file alone."""
    folder = tmp_path_factory.mktemp("log")
    path = _write(folder, [_row(type=kind, item_id=str(item)) for kind, item in rows])
    once, twice = list(read_events(path)), list(read_events(path))
    assert once == twice
    assert len({event.event_id for event in once}) == len(rows)


@pytest.mark.parametrize(
    ("name", "events", "items", "duplicates"),
    [
        ("movietweetings-100k", 100_000, 10_506, 0),
        ("online-retail-8weeks", 108_376, 2_873, 0),
        ("eshop", 165_474, 217, 0),
        ("kuairand-2weeks", 322_465, 7_583, 5_877),
        ("obd-men-women", 40_207, 80, 0),
    ],
)
def test_real_logs_are_read_whole(
    data_dir: Path, name: str, events: int, items: int, duplicates: int
) -> None:
    """No bad row, no id twice, in order, and every item is in the catalogue."""
    path, report = data_dir / f"{name}.events.jsonl.gz", ReadReport()
    found = list(read_events(path, report))
    catalogue = read_items(items_file_of(path) or path)
    assert (len(found), len(catalogue), report.duplicates, report.bad_rows) == (
        events, items, duplicates, 0,
    )  # fmt: skip
    assert len({event.event_id for event in found}) == events
    assert all(a.ts_ms <= b.ts_ms for a, b in itertools.pairwise(found))
    assert {event.item_id for event in found} <= {item.item_id for item in catalogue}
