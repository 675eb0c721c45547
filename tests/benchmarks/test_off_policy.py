"""The benchmark of off-policy evaluation, on a few logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.off_policy import main


def test_the_last_line_is_json(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimators by distance, and a verdict or a refusal for each real policy."""
    monkeypatch.setenv("FRESHET_DATA", str(data_dir))
    result = CliRunner().invoke(main, ["--runs", "3", "--slots", "3000"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert set(figures["simulated"]) == {"near", "far"}
    verdicts = [each for campaign in figures["logged"].values() for each in campaign.values()]
    assert len(verdicts) == 4
    for verdict in verdicts:
        assert (verdict["refusal"] is None) == bool(verdict["estimates"])


def test_without_the_log_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it works for nothing."""
    monkeypatch.setenv("FRESHET_DATA", str(tmp_path))
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 1
    assert "name the folder of the real logs with FRESHET_DATA" in result.output
