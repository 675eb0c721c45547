"""Replay as a command: into a running installation, refused into a used one, and checked."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from freshet.commands.main import cli
from freshet.commands.processes import Server
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.recorded import read_events
from freshet.core.settings import Settings, environment_of
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child
from replay.audit import Audit, Ledger
from replay.generated_log import LogFiles, write_log
from replay.world import Plan


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> LogFiles:
    """A small generated log."""
    return write_log(Plan(users=80, items=60, days=3), tmp_path_factory.mktemp("log") / "films")


def _replay(settings: Settings, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "freshet.commands.main", "replay", *map(str, arguments)],
        env=environment_of(settings) | {"PATH": ""}, capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def _figures(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _audit(settings: Settings, log: Path) -> Audit:
    ledger = Ledger()
    ledger.note(read_events(log))
    with connect(settings.redis_url) as client:
        reader = StateReader(client, settings.namespace, discover_partitions(settings))
        return ledger.audit(*reader.users())


@pytest.mark.services
def test_a_replayed_log_is_in_the_state_to_the_event(
    settings: Settings, worker: Callable[[Settings], Child], films: LogFiles
) -> None:
    """And a second replay into the same namespace is refused."""
    worker(settings)
    figures = _figures(_replay(settings, films.events, "--speed", "max"))
    assert figures["events"] == figures["applied"] == films.n_events
    assert (figures["items"], figures["rejected"], figures["bad_rows"]) == (60, 0, 0)
    audit = _audit(settings, films.events)
    assert (audit.applied, audit.lost, audit.doubled) == (films.n_events, 0, 0)
    again = _replay(settings, films.events, "--speed", "max")
    assert again.returncode == 1
    assert "--append" in again.stderr
    assert "Traceback" not in again.stderr
    assert _audit(settings, films.events) == audit


@pytest.mark.services
@pytest.mark.kafka
def test_on_apache_kafka_it_is_the_same(
    kafka_settings: Settings, worker: Callable[[Settings], Child], films: LogFiles
) -> None:
    """The embedded broker is not the only one that a replay knows."""
    worker(kafka_settings)
    figures = _figures(_replay(kafka_settings, films.events, "--speed", "max"))
    assert figures["events"] == figures["applied"] == films.n_events
    audit = _audit(kafka_settings, films.events)
    assert (audit.applied, audit.lost, audit.doubled) == (films.n_events, 0, 0)


@pytest.mark.services
def test_over_http_the_state_is_the_same(
    settings: Settings,
    worker: Callable[[Settings], Child],
    server: Callable[..., Server],
    films: LogFiles,
) -> None:
    """Events and catalogue travel as a website would send them."""
    worker(settings)
    url = server(settings).url
    figures = _figures(
        _replay(settings, films.events, "--speed", "max", "--target", "http", "--url", url)
    )
    assert figures["events"] == films.n_events
    audit = _audit(settings, films.events)
    assert (audit.lost, audit.doubled) == (0, 0)


@pytest.mark.services
def test_bad_rows_are_told_and_the_limit_is_kept(
    settings: Settings, worker: Callable[[Settings], Child], films: LogFiles, tmp_path: Path
) -> None:
    """A log without a catalogue gets bare entries."""
    worker(settings)
    lines = gzip.decompress(films.events.read_bytes()).splitlines(keepends=True)
    log = tmp_path / "broken.jsonl"
    log.write_bytes(b"".join([lines[0], b"{broken\n", *lines[1:]]))
    done = _replay(settings, log, "--speed", "max", "--limit", 100)
    figures = _figures(done)
    assert (figures["events"], figures["bad_rows"]) == (100, 1)
    assert "the first is line 2" in done.stderr
    assert figures["items"] == len({json.loads(line)["item_id"] for line in lines[:100]})


@pytest.mark.services
def test_a_log_without_a_catalogue_leaves_known_items_as_they_are(
    settings: Settings, worker: Callable[[Settings], Child], films: LogFiles, tmp_path: Path
) -> None:
    """A second day without a file of items takes no title away."""
    worker(settings)
    _figures(_replay(settings, films.events, "--speed", "max", "--limit", 50))
    row = json.loads(gzip.decompress(films.events.read_bytes()).splitlines()[0])
    log = tmp_path / "day2.jsonl"
    rows = [{**row, "event_id": name, "item_id": name} for name in (row["item_id"], "unknown")]
    log.write_text("".join(json.dumps(each) + "\n" for each in rows))
    with connect(settings.redis_url) as client:
        state = StateReader(client, settings.namespace, discover_partitions(settings))
        before = state.catalogue_ids()
        figures = _figures(_replay(settings, log, "--speed", "max", "--append"))
        assert figures["items"] == 1
        assert state.catalogue_ids() == before | {"unknown"}


@pytest.mark.parametrize("speed", ["0", "fast"])
def test_a_strange_speed_is_a_usage_error(films: LogFiles, speed: str) -> None:
    """Before anything is started."""
    done = CliRunner().invoke(cli, ["replay", str(films.events), "--speed", speed])
    assert done.exit_code == 2
    assert "expected max or a number" in done.output


@pytest.mark.services
def test_the_state_after_a_replay_with_killed_workers_is_the_same(films: LogFiles) -> None:
    """Hash for hash, in other batches."""
    done = CliRunner().invoke(cli, ["replay", str(films.events), "--speed", "max", "--check-state"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["equal"] is True
    assert figures["state_hash_live"] == figures["state_hash_replay"]
    assert figures["workers_killed"] >= 1
    assert figures["events"] == films.n_events
