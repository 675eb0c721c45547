"""Generate as a command."""

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from freshet.commands.main import cli
from freshet.core.events.recorded import read_events


def test_a_log_is_written_and_named(tmp_path: Path) -> None:
    """Where it was asked for, with as many events as it says."""
    out = tmp_path / "new" / "films"
    arguments = ["generate", str(out), "--users", "20", "--items", "30", "--days", "2"]
    done = CliRunner().invoke(cli, [*arguments, "--end", "2026-03-01"])
    assert done.exit_code == 0, done.output
    events = list(read_events(out.with_name("films.events.jsonl.gz")))
    assert f"{len(events):,} events" in done.output
    assert events[-1].ts_ms <= 1_772_323_200_000  # 2026-03-01, UTC
    assert events[0].ts_ms > 1_772_323_200_000 - 2 * 86_400_000


def test_another_world_is_written_likewise(tmp_path: Path) -> None:
    """A shop: views and purchases of items that are ids alone."""
    arguments = ["generate", str(tmp_path / "shop"), "--world", "shop", "--users", "50"]
    done = CliRunner().invoke(cli, [*arguments, "--items", "100", "--end", "2026-03-01"])
    assert done.exit_code == 0, done.output
    assert "100 items" in done.output
    events = list(read_events(tmp_path / "shop.events.jsonl.gz"))
    assert {event.type for event in events} == {"view", "purchase"}
    assert events[-1].ts_ms <= 1_772_323_200_000  # 2026-03-01, UTC


@pytest.mark.parametrize(
    "wrong",
    [
        ["--world", "shop", "--items", "3"],
        ["--users", "0"],
        ["--items", "3"],
        ["--drift-at", "2"],
        ["--end", "soon"],
    ],
)
def test_an_impossible_plan_is_a_usage_error(tmp_path: Path, wrong: list[str]) -> None:
    """Nothing is written."""
    done = CliRunner().invoke(cli, ["generate", str(tmp_path / "films"), *wrong])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_log_ends_now_unless_told_otherwise(tmp_path: Path) -> None:
    """So that what is replayed today has trends."""
    before_ms = time.time_ns() // 1_000_000
    done = CliRunner().invoke(cli, ["generate", str(tmp_path / "films"), "--users", "200"])
    assert done.exit_code == 0, done.output
    events = list(read_events(tmp_path / "films.events.jsonl.gz"))
    assert before_ms - 86_400_000 < events[-1].ts_ms <= time.time_ns() // 1_000_000
