"""Going on: whatever is killed whenever, every event of the log is sent once, in its order."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.recorded import RecordedLog, open_log
from freshet.core.events.schema import Event
from replay.already_sent import event_key
from replay.checkpoint import Checkpoint, CheckpointFile, Plan
from replay.course import Course, Keeper

T = 1_764_000_000_000
PLAN = Plan(digest="d", items_digest="", speed="inf", target="kafka", sort=False, from_ms=0,
            to_ms=0, limit=0, shift=False, cluster="c")  # fmt: skip


def _log(folder: Path, count: int) -> RecordedLog:
    rows = [
        {"ts": T + n, "type": "view", "user_id": f"u{n % 3}", "item_id": f"i{n}"}
        for n in range(count)
    ]
    path = folder / "log.events.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return open_log(path)


class _Kafka:
    """A log of one partition."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def read(self, _fold: str) -> Any:
        return SimpleNamespace(ends=np.array([len(self.events)]))

    def behind(self, ends: list[int]) -> set[tuple[str, str]]:
        return {event_key(event) for event in self.events[ends[0] :]}


def _run(
    kafka: _Kafka, log: RecordedLog, file: CheckpointFile, sends: int, keeps: int, lost: set[int]
) -> bool:
    """Send up to so many events, keeping a checkpoint after every `keeps`; return whether all are.

    Of those behind the last checkpoint the ones in `lost` never reach Kafka: their partition was
    not acknowledged when the process was killed.
    """
    before = file.read()
    already = kafka.behind(before.ends) if before else set()
    course = Course(log, before.done if before else 0, already)
    keeper = Keeper(file, "log", PLAN, 0, course, kafka, before)  # type: ignore[arg-type]
    keeper.keep(0)
    flight: list[Event] = []
    for played, event in enumerate(course.events(), 1):
        if played > sends:
            break
        flight.append(event)
        if played % keeps == 0:
            kafka.events += flight
            flight = []
            keeper.keep(played)
    else:
        kafka.events += flight
        keeper.finish(len(list(log.rows())))
        return True
    kafka.events += [event for n, event in enumerate(flight) if n not in lost]
    return False


@given(
    count=st.integers(1, 25),
    kills=st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 5), st.sets(st.integers(0, 4))), max_size=8
    ),
)
@settings(deadline=None, max_examples=150)
def test_every_event_is_sent_once_however_often_it_is_killed(
    tmp_path_factory: Any, count: int, kills: list[tuple[int, int, set[int]]]
) -> None:
    """Also where some of what was in flight came in, and some behind a hole."""
    folder = tmp_path_factory.mktemp("course")
    log, kafka = _log(folder, count), _Kafka()
    file = CheckpointFile("ns", folder / "log.events.jsonl", folder / "replays")
    for sends, keeps, lost in kills:
        if _run(kafka, log, file, sends, keeps, lost):
            break
    assert _run(kafka, log, file, 10**6, 4, set())
    sent = [event.event_id for event in kafka.events]
    assert sorted(sent) == sorted(event.event_id for event in log.events())
    last = file.read()
    assert isinstance(last, Checkpoint)
    assert (last.finished, last.done) == (True, count)


def test_lines_and_places_are_those_of_the_file(tmp_path: Path) -> None:
    """Behind what was skipped too, and what is known is what was sent before."""
    log = _log(tmp_path, 6)
    rows = list(log.rows())
    course = Course(log, 2, {event_key(rows[3].event)})
    sent = [event.item_id for event in itertools.islice(course.events(), 2)]
    assert sent == ["i2", "i4"]
    assert (course.place(0), course.place(1), course.place(2)) == (2, 3, 5)
    assert (course.line(0), course.line(2), course.line_of(1)) == (2, 5, 5)
    assert (course.known, course.skipped, course.last_sent) == ({"i0", "i1"}, 1, 4)
