"""One judgement of a file: what is refused, what is counted, and which part is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from freshet.core.errors import EventError
from freshet.core.events.recorded import Part, open_log
from freshet.core.events.schema import Item

T = 1_764_000_000_000


def _log(folder: Path, times: list[int], name: str = "log.events.jsonl", **columns: Any) -> Path:
    rows = [
        {"ts": ts_ms, "type": "view", "user_id": "u", "item_id": f"i{n}"} | columns
        for n, ts_ms in enumerate(times)
    ]
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _times(log: Any) -> list[int]:
    return [event.ts_ms for event in log.events()]


def test_newest_first_is_refused_in_words(tmp_path: Path) -> None:
    """Its transitions would be learned backwards."""
    path = _log(tmp_path, [T + 120_000, T + 60_000, T])
    with pytest.raises(
        EventError, match=r"2 of 3 rows are out of.*first is line 2, 60.000 s.*--sort"
    ):
        open_log(path)
    log = open_log(path, part=Part(sort=True))
    assert [event.item_id for event in log.events()] == ["i2", "i1", "i0"]
    assert (log.summary()["sorted"], log.summary()["out_of_order"]) == (True, 2)


def test_a_few_late_rows_are_counted_and_kept_in_their_place(tmp_path: Path) -> None:
    """They are real life, and are said."""
    times = [T + n for n in range(200)]
    times[100] = T
    log = open_log(_log(tmp_path, times))
    assert _times(log) == times
    assert log.summary()["out_of_order"] == 1
    assert "1 of 200 rows are out of the order" in " ".join(log.sentences())


@pytest.mark.parametrize("keep", [False, True])
def test_equal_times_keep_the_order_of_the_file(tmp_path: Path, keep: bool) -> None:
    """Sorted or not."""
    path = _log(tmp_path, [T, T, T])
    for sort in (False, True):
        log = open_log(path, part=Part(sort=sort), keep=keep)
        assert [event.item_id for event in log.events()] == ["i0", "i1", "i2"]


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    """Nothing is learned, played or judged of it."""
    with pytest.raises(EventError, match="holds no events"):
        open_log(_log(tmp_path, []))


def test_ids_that_are_none_are_refused(tmp_path: Path) -> None:
    """Most of the log would be dropped as copies."""
    with pytest.raises(EventError, match="4 of 5 rows repeat the event_id"):
        open_log(_log(tmp_path, [T + n for n in range(5)], event_id="session-1"))


def test_a_part_has_its_beginning_and_not_its_end(tmp_path: Path) -> None:
    """By the times of the file, whatever they are moved to."""
    path = _log(tmp_path, [T + n for n in range(6)])
    part = Part(from_ms=T + 1, to_ms=T + 5, limit=3, shift_ms=1_000)
    assert _times(open_log(path, part=part)) == [T + 1_001, T + 1_002, T + 1_003]
    assert _times(open_log(path, part=Part(from_ms=T + 5))) == [T + 5]
    with pytest.raises(EventError, match="no event between --from and --to; it goes from 2025-11"):
        open_log(path, part=Part(from_ms=T + 6))


def test_a_shift_moves_the_catalogue_and_leaves_ids(tmp_path: Path) -> None:
    """What is not dated stays so."""
    path = _log(tmp_path, [T, T + 1])
    (tmp_path / "log.items.jsonl").write_text(
        f'{{"item_id": "i0", "created_ts_ms": {T - 9}}}\n{{"item_id": "i1"}}\n'
    )
    log = open_log(path)
    moved = log.taken(Part(shift_ms=100))
    assert moved.items() == [Item(item_id="i0", created_ts_ms=T + 91), Item(item_id="i1")]
    ids = [[event.event_id for event in each.events()] for each in (log, moved)]
    assert ids[0] == ids[1]


def test_rows_that_are_appended_since_are_not_read(tmp_path: Path) -> None:
    """What was not judged is not played."""
    path = _log(tmp_path, [T, T + 1])
    log = open_log(path)
    with path.open("a") as file:
        file.write(json.dumps({"ts": T, "type": "view", "user_id": "u", "item_id": "late"}) + "\n")
    assert len(_times(log)) == 2


def test_a_catalogue_of_nothing_is_none(tmp_path: Path) -> None:
    """Else nothing could ever be recommended."""
    path = _log(tmp_path, [T])
    (tmp_path / "log.items.jsonl").write_text("")
    assert open_log(path).items() is None
