"""The benchmark of the bandit, on a few experiments."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.bandit import VARIANTS, main
from replay.evaluate.bandit_policies import POLICIES


@pytest.fixture
def few_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six experiments of three arms each, in two weeks."""
    rng = np.random.default_rng(0)
    arms = [
        {"ts": test // 3 * 7 * 86_400_000, "test_id": f"t{test}", "impressions": 400, "clicks": c}
        for test in range(6)
        for c in rng.integers(0, 40, 3).tolist()
    ]
    with gzip.open(tmp_path / "upworthy.arms.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(arm) + "\n" for arm in arms)
    monkeypatch.setenv("FRESHET_DATA", str(tmp_path))


@pytest.mark.parametrize(("flags", "rows"), [([], POLICIES), (["--variants"], VARIANTS)])
def test_the_last_line_is_json(few_experiments: None, flags: list[str], rows: dict) -> None:
    """With every row, its ratio and an interval around it."""
    result = CliRunner().invoke(main, ["--seeds", "3", "--share", "1", *flags])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert set(figures["policies"]) == set(rows)
    against = "ours" if flags else "ucb1"
    for row in figures["policies"].values():
        low, high = row["ci"]
        assert low <= row[f"relative_to_{against}"] <= high
    assert figures["experiments"] == 6
    assert figures["impressions"] == 6 * 1_200
    assert ("relative_to_uniform" in figures) == (not flags)


def test_without_the_log_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback."""
    monkeypatch.setenv("FRESHET_DATA", str(tmp_path))
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 1
    assert "name the folder of the real logs with FRESHET_DATA" in result.output
