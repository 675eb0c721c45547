"""A generated log on disk: read back as it is, counted as its truth says."""

import json
from collections import Counter
from pathlib import Path

from freshet.core.events.recorded import items_file_of, read_events, read_items
from freshet.core.events.schema import EVENT_TYPES
from replay.generated_log import write_log
from replay.world import Plan

PLAN = Plan(users=60, items=40, days=2)


def test_the_files_read_back_whole(tmp_path: Path) -> None:
    """As many events as promised, each id once, each item in the catalogue with a title."""
    files = write_log(PLAN, tmp_path / "new" / "films")
    events = list(read_events(files.events))
    items = read_items(files.items)
    assert items_file_of(files.events) == files.items
    assert len(events) == len({event.event_id for event in events}) == files.n_events > 0
    assert len({item.title for item in items}) == PLAN.items
    assert {event.item_id for event in events} <= {item.item_id for item in items}


def test_the_same_plan_writes_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the name and the time."""
    one, two = write_log(PLAN, tmp_path / "one"), write_log(PLAN, tmp_path / "two")
    for a, b in zip(one[:3], two[:3], strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_the_truth_counts_what_is_in_the_log(tmp_path: Path) -> None:
    """Counted the slow way, for every person and item."""
    files = write_log(PLAN, tmp_path / "films")
    truth = json.loads(files.truth.read_text())
    events = list(read_events(files.events))
    assert truth["events"] == len(events)
    for side, name in (("users", "user_id"), ("items", "item_id")):
        counted = Counter((getattr(event, name), event.type) for event in events)
        for key, entry in truth[side].items():
            assert entry["type_counts"] == [counted[key, kind] for kind in EVENT_TYPES]
    assert truth["start_ts_ms"] < truth["drift_ts_ms"] < truth["end_ts_ms"]


def test_two_generated_logs_share_no_id(tmp_path: Path) -> None:
    """Also of one seed: played into one namespace, neither is a copy of the other."""
    plans = [
        Plan(users=20, items=30, days=2, end_ts_ms=1_772_323_200_000 + shift) for shift in (0, 1)
    ]
    logs = [
        {e.event_id for e in read_events(write_log(plan, tmp_path / f"log{n}").events)}
        for n, plan in enumerate(plans)
    ]
    assert logs[0]
    assert not logs[0] & logs[1]
