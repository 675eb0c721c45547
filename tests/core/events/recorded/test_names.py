"""Names and made ids: distinct where files are, equal where the file is one."""

import json
from pathlib import Path

from freshet.core.events.recorded import items_file_of, log_name, read_events
from freshet.core.events.recorded.names import made_event_id

ROWS = [
    {"ts": 1_764_000_000_000 + n, "type": "view", "user_id": "u", "item_id": "i"} for n in range(3)
]


def _write(path: Path, rows: list[dict] = ROWS) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _ids(path: Path) -> list[str]:
    return [event.event_id for event in read_events(path)]


def test_daily_files_have_ids_of_their_own(tmp_path: Path) -> None:
    """Also where they hold the same rows."""
    days = [_write(tmp_path / f"events.2025-11-{day}.jsonl") for day in (24, 25)]
    assert not set(_ids(days[0])) & set(_ids(days[1]))


def test_long_names_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    """An id has room for the beginning of a name only."""
    names = [f"clickstream-export-of-production-2025-11-{day}.jsonl" for day in (24, 25)]
    one, other = (_ids(_write(tmp_path / name)) for name in names)
    assert not set(one) & set(other)


def test_files_of_one_name_in_two_folders_differ_where_their_rows_do(tmp_path: Path) -> None:
    """Row by row, also behind a beginning that is the same."""
    later = [ROWS[0], *({**row, "ts": row["ts"] + 5} for row in ROWS[1:])]
    one = _ids(_write(tmp_path / "monday" / "log.jsonl"))
    other = _ids(_write(tmp_path / "tuesday" / "log.jsonl", later))
    assert [a == b for a, b in zip(one, other, strict=True)] == [True, False, False]


def test_a_log_keeps_its_ids_when_it_grows_moves_or_is_packed(tmp_path: Path) -> None:
    """So that it can be played again and counts once."""
    plain = _write(tmp_path / "a.b.events.jsonl")
    before = _ids(plain)
    grown = _write(tmp_path / "moved" / "a.b.events.jsonl", [*ROWS, {**ROWS[0], "item_id": "j"}])
    assert _ids(grown)[:3] == before
    assert made_event_id(Path("x/log.jsonl.gz"), 1, b"{}") == made_event_id(
        Path("log.jsonl"), 1, b"{}"
    )


def test_a_long_name_leaves_room_for_the_number() -> None:
    """Event ids have 64 characters at most, the click of an impression one more."""
    assert len(made_event_id(Path("x" * 200 + ".events.jsonl"), 10**12, b"")) < 60


def test_the_name_of_a_log_keeps_its_day() -> None:
    """Or two logs would be one in a report."""
    assert log_name(Path("events.2025-11-24.jsonl.gz")) == "events.2025-11-24"
    assert log_name(Path("films.events.jsonl.gz")) == "films"
    assert log_name(Path(".jsonl")) == ".jsonl"


def test_the_catalogue_of_a_name_with_dots_is_its_own(tmp_path: Path) -> None:
    """The one with the whole name comes before one that may be another log's."""
    log = _write(tmp_path / "a.b.events.jsonl")
    short = _write(tmp_path / "a.items.jsonl")
    assert items_file_of(log) == short
    own = _write(tmp_path / "a.b.items.jsonl")
    assert items_file_of(log) == own
    day = _write(tmp_path / "films.events.2025-11-24.jsonl")
    of_day = _write(tmp_path / "films.items.2025-11-24.jsonl")
    assert items_file_of(day) == of_day
