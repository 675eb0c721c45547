"""`freshet eval`: figures and a page at the end, and a clear word when something is missing."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner, Result

from freshet.commands import eval as eval_module
from freshet.commands.eval import EvalMissingError, command
from replay.generated_log import write_log
from replay.world import Plan

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(
        Plan(users=120, items=80, days=2), tmp_path_factory.mktemp("logs") / "a"
    ).events


class Run(NamedTuple):
    """A run of the command on the log, and the page that it wrote."""

    found: Result
    report: Path


@pytest.fixture(scope="module")
def run(log: Path) -> Run:
    """Without models."""
    report = log.with_name("report.html")
    arguments = [str(log), "--requests", "60", "--no-models", "--report", str(report)]
    return Run(CliRunner().invoke(command, arguments), report)


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What the steps of a judged log came to."""
    return {}


@pytest.fixture
def judged_once(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is judged in this test is not judged again by the next case of it."""

    def once(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def of(*arguments: Any, **options: Any) -> Any:
            if name not in results:
                results[name] = function(*arguments, **options)
            return results[name]

        return of

    for name in ("_judge", "_checks"):
        monkeypatch.setattr(eval_module, name, once(name, getattr(eval_module, name)))


def test_it_ends_with_the_figures_of_each_log(run: Run) -> None:
    """And the page holds every contestant."""
    found = run.found
    assert found.exit_code == 0, found.output
    figures = json.loads(found.stdout.splitlines()[-1])
    headline = figures["logs"]["a"]
    assert 0 <= headline["recall20"] <= 1
    assert figures["clicks"]["a"]["scores"][0]["log_loss"] is None  # without a ranker
    assert headline["ci_low"] is None or headline["ci_low"] <= headline["delta_pct"]
    page = run.report.read_text()
    assert all(name in page for name in ("product", "session-knn", headline["best_baseline"]))


@pytest.mark.usefixtures("judged_once")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_failed_leak_check_ends_with_a_failure(log: Path, tmp_path: Path, as_json: bool) -> None:
    """Bad news first, no figure to quote, exit code 1: items created behind their first event."""
    items = log.with_name("a.items.jsonl.gz")
    entries = [
        msgspec.json.decode(line) for line in gzip.decompress(items.read_bytes()).splitlines()
    ]
    future = {"created_ts_ms": max(each["created_ts_ms"] for each in entries) + 10**9}
    late = tmp_path / "late.items.jsonl"
    late.write_bytes(b"\n".join(msgspec.json.encode(each | future) for each in entries))
    copy, report = tmp_path / "late.events.jsonl.gz", tmp_path / "report.html"
    copy.write_bytes(log.read_bytes())
    arguments = [str(copy), "--requests", "50", "--no-models", "--report", str(report)]
    found = CliRunner().invoke(command, arguments + ["--json"] * as_json)
    assert found.exit_code == 1, found.output
    last = json.loads(found.stdout.splitlines()[-1])
    assert "creation dates" in last["checks_failed"]["late"]
    headline = last["logs"][0]["headline"] if as_json else last["logs"]["late"]
    assert headline["difference"] is headline["delta_pct"] is headline["recall20"] is None
    assert "creation dates" in headline["checks_failed"]
    page = report.read_text()
    assert page.index("creation dates&#34; FAILED") < page.index("Gain over the best baseline")
    remarks = [line for line in found.stderr.splitlines() if line.startswith("- ")]
    assert remarks[0].startswith("- on late the leak check")


def test_a_check_that_passes_is_no_failure(run: Run) -> None:
    """And every baseline has played, also on a log of a few thousand events."""
    assert run.found.exit_code == 0, run.found.output
    last = json.loads(run.found.stdout.splitlines()[-1])
    assert last["checks_failed"] == {}
    assert set(last["never_played"]["a"]) <= {"own-past"}  # whose users have no older past


def test_the_same_seed_gives_the_same_figures(run: Run, log: Path) -> None:
    """Two runs, all of the JSON but the seconds."""
    again = CliRunner().invoke(command, [str(log), "--requests", "60", "--no-models"])
    assert again.stdout.splitlines()[-1] == run.found.stdout.splitlines()[-1]


def test_with_models_it_tells_of_clicks_and_of_the_encoder_alone(log: Path) -> None:
    """All of it in the JSON; nobody who is judged knows the future, the encoders among them."""
    arguments = [str(log), "--requests", "50", "--trainings", "0", "--json"]
    found = CliRunner().invoke(command, arguments)
    assert found.exit_code == 0, found.output
    whole = json.loads(found.stdout.splitlines()[-1])
    figures = whole["logs"][0]
    encoders = {f"encoder-{how}" for how in ("frozen", "daily", "online")}
    scores = {each["contestant"]: each for each in figures["scores"]}
    assert encoders <= scores.keys()
    assert not any(scores[name]["is_baseline"] for name in encoders)
    assert encoders <= {each["contestant"] for each in figures["comparisons"]}
    product = figures["clicks"]["scores"][0]
    assert product["contestant"] == "product"
    assert product["auc"]["low"] <= product["auc"]["value"] <= product["auc"]["high"]
    assert product["foreseen_over_true"]["value"] > 0
    assert figures["facts"]["ranker_exposures"] > 0
    checks = whole["checks"]["a"]
    assert all(each["passed"] for each in checks if each["passed"] is not None), checks
    asked = [each["figures"]["contestants"] for each in checks if each["name"] == "another future"]
    # Product, baselines (most of them twice), baselines of clicks, encoders.
    assert asked == [1 + (22 + 19) + 8 + len(encoders)] * 2


def test_without_the_extra_it_says_what_to_install(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read."""
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "implicit" else object()
    )
    found = CliRunner().invoke(command, [str(log)])
    assert isinstance(found.exception, EvalMissingError)
    assert "pip install -e '.[train,eval]'" in str(found.exception)
