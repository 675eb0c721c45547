"""Chaos as a command: its last line is JSON, and its exit code is the verdict."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from freshet.commands.main import cli
from freshet.core.errors import ServiceError
from replay.audit import Audit
from replay.chaos import run
from replay.chaos.controls import PROTECTIONS
from replay.chaos.plan import plan_strikes
from replay.chaos.recovery import Wound
from replay.chaos.verdict import Verdict

EXACT = Audit(produced=9, applied=9, lost=0, doubled=0, wrong=0, worst=[])
LOSSY = replace(EXACT, applied=8, lost=1, wrong=1, worst=["user-1"])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What was run; a run without a protection loses an event, as does none with them."""
    found: list[dict[str, Any]] = []

    def run_chaos(options: Any, strikes: Any, settings: Any, folder: Path, display: Any) -> Any:
        found.append({"options": options, "strikes": strikes, "folder": folder})
        folder.mkdir()
        display.show(1.0, 9, 0, "bug")
        wounds = [Wound(strike, strike.at_s, None, 1.0) for strike in strikes]
        verdict = Verdict(LOSSY if options.without else EXACT, EXACT, (), 0, 0, 0)
        return run.ChaosResult(options, 9, wounds, verdict)

    monkeypatch.setattr(run, "run_chaos", run_chaos)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return found


def chaos(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["chaos", *arguments])


def test_an_exact_run_ends_with_its_figures_and_leaves_nothing(runs: list[dict[str, Any]]) -> None:
    """Exit code 0, tables on standard error, data deleted."""
    done = chaos("--seed", "3", "--seconds", "30")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert (figures["seed"], figures["workers"], figures["ok"]) == (3, 2, True)
    assert "audit" in done.stderr
    (ran,) = runs
    assert ran["strikes"] == plan_strikes(3, 30, broker="kafka", workers=2)
    assert not ran["folder"].parent.exists()


@pytest.mark.parametrize("without", PROTECTIONS)
def test_a_wrong_count_is_exit_code_1_and_keeps_the_data(
    runs: list[dict[str, Any]], without: str
) -> None:
    """For whoever looks for the cause; every protection can be taken away."""
    done = chaos("--seconds", "15", "--without", without)
    assert done.exit_code == 1
    figures = json.loads(done.stdout)
    assert (figures["without"], figures["users_wrong"], figures["lost"]) == (without, 1, 1)
    assert runs[0]["folder"].exists()
    assert str(runs[0]["folder"].parent) in done.stderr.replace("\n", "")


def test_json_alone_is_one_line(runs: list[dict[str, Any]]) -> None:
    """Nothing else on either stream."""
    done = chaos("--seconds", "15", "--json")
    assert json.loads(done.stdout)["ok"] is True
    assert done.stderr == ""


def test_the_embedded_broker_serves_one_worker(runs: list[dict[str, Any]]) -> None:
    """One by default, and more is refused before anything starts."""
    assert chaos("--broker", "embedded", "--seconds", "15").exit_code == 0
    assert runs[0]["options"].workers == 1
    refused = chaos("--broker", "embedded", "--workers", "2")
    assert refused.exit_code == 2
    assert "needs --broker kafka" in refused.output
    assert len(runs) == 1


def test_what_went_wrong_is_a_sentence_that_names_the_logs(
    runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a table of a run that never was."""

    def fail(*_: Any, **__: Any) -> None:
        raise ServiceError("kafka", "is away")

    monkeypatch.setattr(run, "run_chaos", fail)
    done = chaos("--seconds", "15", "--json")
    assert done.exit_code == 1
    assert "kafka: is away" in str(done.exception)
    assert "logs are in" in str(done.exception)
