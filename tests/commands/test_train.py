"""`freshet train`: from a file to a bundle in use, or one sentence on why not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from freshet.commands import train
from online_models.artifacts.registry import Registry
from replay.generated_log import write_log
from replay.world import Plan


def test_without_torch_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else needs it."""
    log = tmp_path / "log.events.jsonl"
    log.write_text("")
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda _: None)
    result = CliRunner().invoke(train.command, [str(log)])
    assert isinstance(result.exception, train.TorchMissingError)
    assert "pip install -e '.[train]'" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["LOG", "--follow"], "--follow learns from the stream"),
        (["--every", "1h", "--follow"], "--follow learns from the stream"),
        (["--items", "LOG"], "--items belongs to a LOG"),
        (["--every", "0s"], "--every is at least 1s"),
        (["--every", "soon"], "'soon' is no duration"),
    ],
)
def test_what_does_not_go_together_is_said(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    """Before anything is done."""
    log = tmp_path / "log.jsonl"
    log.write_text("")
    found = [str(log) if each == "LOG" else each for each in arguments]
    result = CliRunner().invoke(train.command, found)
    assert result.exit_code == 2
    assert sentence in result.output


def test_each_of_many_trainings_is_asked_for_the_same() -> None:
    """All that was said of one, and no more."""
    nothing = train._arguments(None, None, sort=False, epochs=None, budget_s=None, quick=False)
    assert nothing == []
    everything = train._arguments(
        Path("log.gz"), Path("items.gz"), sort=True, epochs=3, budget_s=60.0, quick=True
    )
    assert everything == [
        "log.gz", "--items", "items.gz", "--epochs", "3", "--budget-s", "60.0",
        "--sort", "--quick",
    ]  # fmt: skip


@pytest.mark.training
def test_a_generated_log_becomes_a_bundle_in_use(tmp_path: Path) -> None:
    """The catalogue beside the log is found; the last line is the manifest."""
    files = write_log(Plan(users=120, items=80, days=4.0), tmp_path / "films")
    models = tmp_path / "models"
    result = CliRunner().invoke(
        train.command,
        [str(files.events), "--models-dir", str(models), "--quick", "--epochs", "1", "--json"],
    )
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.output.splitlines()[-1])
    registry = Registry(models)
    assert registry.current() == manifest["version"]
    bundle = registry.load(manifest["version"])
    assert len(bundle.item_ids) == 80
    assert set(manifest["metrics"]["test"]) >= {"ranker", "encoder", "recent_popular", "fusion"}


@pytest.mark.training
def test_a_log_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    """Nothing is published."""
    log = tmp_path / "short.events.jsonl"
    rows = [
        {"type": "click", "user_id": "u", "item_id": "i", "ts_ms": 1_760_000_000_000 + number}
        for number in range(3)
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = tmp_path / "models"
    result = CliRunner().invoke(train.command, [str(log), "--models-dir", str(models)])
    assert "holds 3 clicks" in str(result.exception)
    assert not models.exists()
