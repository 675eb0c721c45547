"""Replays that are interrupted, and what else a first replay meets: with real processes."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freshet.commands.processes import Server
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.recorded import open_log
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings, environment_of
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child
from replay.audit import Audit, Ledger
from replay.generated_log import LogFiles, write_log
from replay.world import Plan

ROOT = Path(__file__).parents[2]
T = 1_764_000_000_000
SPEED = 30_000  # the log below takes some eight seconds


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> LogFiles:
    """A small generated log."""
    return write_log(Plan(users=80, items=60, days=3), tmp_path_factory.mktemp("log") / "films")


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start(*arguments)` starts a `freshet replay` in a folder of the test's own."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "freshet.commands.main", "replay", *map(str, arguments)],
            env=environment_of(settings) | {"PATH": "", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _end(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out.splitlines()[-1]) if out else {}, err


def _rows(path: Path, times: list[int], **columns: Any) -> Path:
    rows = [
        {"ts": ts_ms, "type": "view", "user_id": "u", "item_id": f"i{n}"} | columns
        for n, ts_ms in enumerate(times)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def _audit(settings: Settings, log: Path) -> Audit:
    ledger = Ledger()
    ledger.note(open_log(log).events())
    with connect(settings.redis_url) as client:
        reader = StateReader(client, settings.namespace, discover_partitions(settings))
        return ledger.audit(*reader.users())


def _done(folder: Path) -> int:
    files = list((folder / ".freshet" / "replays").rglob("*.json"))
    return json.loads(files[0].read_text())["done"] if files else 0


@pytest.mark.services
def test_heartbeats_do_not_make_a_namespace_used(
    settings: Settings,
    worker: Callable[[Settings], Child],
    start: Callable[..., subprocess.Popen[str]],
    wait_until: Callable[..., None],
    films: LogFiles,
) -> None:
    """Who reads slowly can still replay; a second time is refused by the events."""
    worker(msgspec.structs.replace(settings, heartbeat_s=0.1))
    with ProgressReader(settings, discover_partitions(settings)) as reader:
        wait_until(lambda: reader.read("users").ends.sum() > 8, what="heartbeats")
    code, figures, err = _end(start(films.events, "--speed", "max"))
    assert (code, figures["applied"]) == (0, films.n_events), err
    code, _, err = _end(start(films.events, "--speed", "max"))
    assert code == 1
    assert f"already has {films.n_events:,} events" in err


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_replay_goes_on_where_it_was(
    settings: Settings,
    worker: Callable[[Settings], Child],
    start: Callable[..., subprocess.Popen[str]],
    wait_until: Callable[..., None],
    films: LogFiles,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """To the event, nothing lost and nothing twice; asked to end, it says how far it came."""
    worker(settings)
    first = start(films.events, "--speed", SPEED)
    wait_until(lambda: _done(tmp_path) > 200, what="a checkpoint")
    first.send_signal(number)
    code, figures, err = _end(first)
    if number == signal.SIGKILL:
        assert code == -9
    else:
        assert code == 128 + number
        assert figures["interrupted"] is True
        assert 200 < figures["line"] == figures["done"] == figures["events"] < films.n_events
        assert f"behind line {figures['line']:,}" in err
        assert "--resume" in err
    refused, _, err = _end(start(films.events, "--speed", SPEED))
    assert refused == 1
    assert "--resume, which goes on behind line" in err
    refused, _, err = _end(start(films.events, "--resume", "--speed", "max"))
    assert refused == 1
    assert f"--speed was {SPEED:.1f}, now inf" in err
    code, figures, err = _end(start(films.events, "--resume"))
    assert (code, figures["interrupted"], figures["duplicates"]) == (0, False, 0), err
    assert figures["already_there"] + figures["events"] == films.n_events == figures["done"]
    audit = _audit(settings, films.events)
    assert (audit.applied, audit.lost, audit.doubled) == (films.n_events, 0, 0)
    code, figures, _ = _end(start(films.events, "--resume"))
    assert (code, figures["events"]) == (0, 0)


@pytest.mark.services
def test_only_what_was_interrupted_goes_on(
    settings: Settings,
    worker: Callable[[Settings], Child],
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """Another log, or one that has changed, is refused in words."""
    worker(settings)
    log = _rows(tmp_path / "log.jsonl", [T + n for n in range(5)])
    code, _, err = _end(start(log, "--resume"))
    assert (code, "no replay of" in err) == (1, True)
    assert _end(start(log, "--speed", "max"))[0] == 0
    _rows(log, [T + n for n in range(6)])
    code, _, err = _end(start(log, "--resume"))
    assert code == 1
    assert "the file has changed since" in err


@pytest.mark.services
def test_daily_files_are_appended_whole(
    settings: Settings,
    worker: Callable[[Settings], Child],
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """Without ids; the same file again is all copies, which is said and is no success."""
    worker(settings)
    days = [
        _rows(
            tmp_path / f"events.2025-11-{day}.jsonl", [T + day * 86_400_000 + n for n in range(5)]
        )
        for day in (24, 25)
    ]
    assert _end(start(days[0], "--speed", "max"))[1]["applied"] == 5
    code, figures, _ = _end(start(days[1], "--speed", "max", "--append"))
    assert (code, figures["applied"], figures["duplicates"]) == (0, 5, 0)
    code, figures, err = _end(start(days[1], "--speed", "max", "--append"))
    assert (code, figures["applied"], figures["duplicates"]) == (1, 0, 5)
    assert "5 of 5 events were DROPPED as copies" in err


@pytest.mark.services
def test_a_row_too_large_is_named_alike_for_every_target(
    settings: Settings,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """The rows behind it are in the state."""
    worker(settings)
    url = server(settings).url
    found = []
    for n, (size, target) in enumerate(
        [(1_100_000, "kafka"), (1_100_000, "http"), (17_000, "kafka"), (17_000, "http")]
    ):
        rows = [{"ts_ms": T + n * 10 + row, "type": "view", "user_id": f"u{n}", "item_id": "i",
                 "event_id": f"{n}-{row}"} for row in range(3)]  # fmt: skip
        rows[1]["context"] = {"x": "y" * size}
        log = tmp_path / f"log{n}.jsonl"
        log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        process = start(log, "--speed", "max", "--append", "--target", target, "--url", url)
        code, figures, err = _end(process)
        assert (code, figures["applied"], figures["bad_rows"]) == (0, 2, 1), err
        assert "the first is line 2: too_large: " in err
        found.append(figures["read"]["first_bad_rows"][0]["line"])
    assert found == [2] * 4


@pytest.mark.services
def test_a_log_is_moved_to_now_with_its_catalogue(
    settings: Settings,
    worker: Callable[[Settings], Child],
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """By one number, which is in the figures; ids stay."""
    worker(settings)
    log = _rows(tmp_path / "old.events.jsonl", [T + n * 1_000 for n in range(5)])
    before_ms = time.time_ns() // 1_000_000
    code, figures, err = _end(start(log, "--speed", "max", "--shift-to-now"))
    assert code == 0, err
    ends_ms = T + 4_000 + figures["shift_ms"]
    assert before_ms <= ends_ms <= time.time_ns() // 1_000_000
    with ProgressReader(settings, discover_partitions(settings)) as reader:
        assert reader.read("users").total("watermark_ts_ms").max() == ends_ms
