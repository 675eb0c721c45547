"""Checkpoints: whole or absent, of one log and namespace, and of one way to play it."""

from pathlib import Path

import msgspec
import pytest

from freshet.core.errors import FreshetError
from replay.checkpoint import Checkpoint, CheckpointFile, Plan, require_same

PLAN = Plan(digest="d", items_digest="i", speed="60.0", target="kafka", sort=False, from_ms=1,
            to_ms=2, limit=3, shift=False, cluster="c")  # fmt: skip
CHECKPOINT = Checkpoint(log="/log", plan=PLAN, shift_ms=5, done=7, line=9, ends=[1, 2])


def test_none_is_none(tmp_path: Path) -> None:
    """Nothing was interrupted."""
    assert CheckpointFile("ns", tmp_path / "log.jsonl", tmp_path).read() is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By whatever way the log is named, and the last one counts."""
    log = tmp_path / "log.jsonl"
    file = CheckpointFile("ns", log, tmp_path / "replays")
    file.write(CHECKPOINT)
    file.write(msgspec.structs.replace(CHECKPOINT, done=8))
    again = CheckpointFile("ns", tmp_path / "x" / ".." / "log.jsonl", tmp_path / "replays")
    assert again.read() == msgspec.structs.replace(CHECKPOINT, done=8)
    assert [path.suffix for path in file.path.parent.iterdir()] == [".json"]


def test_namespaces_and_logs_have_files_of_their_own(tmp_path: Path) -> None:
    """Also logs of one name in two folders."""
    logs = [tmp_path / "a" / "log.jsonl", tmp_path / "b" / "log.jsonl"]
    paths = {CheckpointFile(name, log, tmp_path).path for name in ("m", "n") for log in logs}
    assert len(paths) == 4


def test_a_damaged_one_is_an_error_that_names_it(tmp_path: Path) -> None:
    """To begin again would count twice."""
    file = CheckpointFile("ns", tmp_path / "log.jsonl", tmp_path)
    file.write(CHECKPOINT)
    file.path.write_text("{")
    with pytest.raises(FreshetError, match=r"log-.*json is damaged"):
        file.read()


@pytest.mark.parametrize(
    ("field", "now", "said"),
    [
        ("digest", "e", "the file has changed"),
        ("items_digest", "", "the catalogue has changed"),
        ("speed", "inf", "--speed was 60.0, now inf"),
        ("target", "http", "--target was kafka, now http"),
        ("sort", True, "--sort was False, now True"),
        ("from_ms", 0, "--from was 1, now 0"),
        ("to_ms", 0, "--to was 2, now 0"),
        ("limit", 0, "--limit was 3, now 0"),
        ("shift", True, "--shift-to-now was False, now True"),
        ("cluster", "other", "the broker is another"),
    ],
)
def test_another_replay_is_no_going_on(field: str, now: object, said: str) -> None:
    """Every field of a plan counts."""
    with pytest.raises(FreshetError, match=said):
        require_same(PLAN, msgspec.structs.replace(PLAN, **{field: now}))


def test_the_same_replay_goes_on() -> None:
    """Nothing differs, and the table above has every field."""
    require_same(PLAN, PLAN)
    assert len(Plan.__struct_fields__) == 10
