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


def test_without_the_extra_it_says_what_to_install(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read."""
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "implicit" else object()
    )
    found = CliRunner().invoke(command, [str(log)])
    assert isinstance(found.exception, EvalMissingError)
    assert "freshet[train,eval]" in str(found.exception)
