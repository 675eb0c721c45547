"""`freshet eval`: figures and a page at the end, and a clear word when something is missing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from freshet.commands.eval import EvalMissingError, command
from replay.generated_log import write_log
from replay.world import Plan

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(
        Plan(users=120, items=80, days=2), tmp_path_factory.mktemp("logs") / "a"
    ).events


def test_it_ends_with_the_figures_of_each_log(log: Path, tmp_path: Path) -> None:
    """And the page holds every contestant."""
    report = tmp_path / "report.html"
    found = CliRunner().invoke(
        command, [str(log), "--requests", "60", "--no-models", "--report", str(report)]
    )
    assert found.exit_code == 0, found.output
    figures = json.loads(found.stdout.splitlines()[-1])
    headline = figures["logs"]["a"]
    assert 0 <= headline["recall20"] <= 1
    assert figures["clicks"]["a"]["scores"][0]["log_loss"] is None  # without a ranker
    assert headline["ci_low"] is None or headline["ci_low"] <= headline["delta_pct"]
    page = report.read_text()
    assert all(name in page for name in ("product", "session-knn", headline["best_baseline"]))


def test_the_same_seed_gives_the_same_figures(log: Path) -> None:
    """Two runs, all of the JSON but the seconds."""
    first, second = (
        CliRunner().invoke(command, [str(log), "--requests", "60", "--no-models"]).stdout
        for _ in range(2)
    )
    assert first.splitlines()[-1] == second.splitlines()[-1]


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
    assert asked == [1 + 13 + 2 + len(encoders)] * 2  # product, baselines, of clicks, encoders


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
