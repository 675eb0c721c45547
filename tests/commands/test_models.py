"""`freshet models`: what is published, what is in use, and how to change that."""

import errno
import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from freshet.commands.models import command, figures_table
from freshet.core.errors import BundleError
from online_models.artifacts import pointer
from online_models.artifacts.manifest import RANKER, version_of
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items, write_tiny_bundle

ITEMS = tiny_items(20)


def run(models_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["--models-dir", str(models_dir), *arguments])


def test_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    """No table of nothing."""
    result = run(tmp_path, "list")
    assert result.exit_code == 0
    assert "`freshet train LOG` makes the first" in result.output
    assert json.loads(run(tmp_path, "list", "--json").output)["bundles"] == []
    shown = run(tmp_path, "show")
    assert isinstance(shown.exception, BundleError)
    assert "no bundle is in use" in str(shown.exception)


def test_bundles_are_listed_newest_first(tmp_path: Path) -> None:
    """With the one in use, age, items; a damaged one with its fault."""
    first, second = (publish_tiny_bundle(tmp_path, ITEMS, seed=seed) for seed in range(2))
    Registry(tmp_path).use(first)
    listed = json.loads(run(tmp_path, "list", "--json").output)
    assert listed["current"] == first
    assert {row["version"]: row["current"] for row in listed["bundles"]} == {
        first: True,
        second: False,
    }
    assert all(row["items"] == 20 and row["age_s"] >= 0 for row in listed["bundles"])
    (tmp_path / second / "manifest.json").write_text("{")
    assert first in run(tmp_path, "list").output
    damaged = json.loads(run(tmp_path, "list", "--json").output)["bundles"]
    assert any("no manifest" in row.get("fault", "") for row in damaged)


def test_a_manifest_is_shown(tmp_path: Path) -> None:
    """Of the bundle in use, or of the one that is named."""
    first = publish_tiny_bundle(tmp_path, ITEMS)
    second = publish_tiny_bundle(tmp_path, ITEMS, seed=1)
    assert json.loads(run(tmp_path, "show", "--json").output)["version"] == second
    assert json.loads(run(tmp_path, "show", first, "--json").output)["version"] == first
    assert first in run(tmp_path, "show", first).output


def test_the_tasks_of_the_ranker_are_told(tmp_path: Path) -> None:
    """As far as they came at all; of what follows a click, given one."""
    version = publish_tiny_bundle(tmp_path, ITEMS)
    click = {"true": 1200, "auc": 0.93, "predicted_over_true": 1.01}
    dwell = {"true": 80, "auc": 0.91, "predicted_over_true": 0.9, "auc_given_click": 0.7}
    manifest = msgspec.structs.replace(
        Registry(tmp_path).manifest(version), metrics={"tasks": {"click": click, "dwell": dwell}}
    )
    assert str(figures_table(manifest).caption).splitlines() == [
        "click (1,200): AUC 0.930, foreseen / true 1.01",
        "dwell (80): AUC 0.700 given a click, foreseen / true 0.90",
    ]


def test_a_folder_is_published(tmp_path: Path) -> None:
    """After a check; it stays where it is."""
    folder = tmp_path / "made elsewhere"
    version = write_tiny_bundle(folder, ITEMS).version
    result = run(tmp_path / "models", "publish", str(folder))
    assert result.output == f"bundle {version} is in use\n"
    assert Registry(tmp_path / "models").current() == version
    assert (folder / RANKER).exists()


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    """And the bundle in use stays."""
    version = publish_tiny_bundle(tmp_path / "models", ITEMS)
    folder = tmp_path / "damaged"
    write_tiny_bundle(folder, ITEMS, seed=1)
    (folder / RANKER).write_bytes(b"cut")
    result = run(tmp_path / "models", "publish", str(folder))
    assert isinstance(result.exception, BundleError)
    assert "ranker.onnx has 3 bytes" in str(result.exception)
    assert Registry(tmp_path / "models").versions() == [version]
    assert Registry(tmp_path / "models").current() == version


def test_use_and_rollback_move_the_pointer(tmp_path: Path) -> None:
    """There and back; a version that is none moves nothing."""
    first = publish_tiny_bundle(tmp_path, ITEMS)
    second = publish_tiny_bundle(tmp_path, ITEMS, seed=1)
    assert run(tmp_path, "use", first).output == f"bundle {first} is in use\n"
    assert run(tmp_path, "rollback").output == f"bundle {second} is in use\n"
    assert isinstance(run(tmp_path, "use", "nonsense").exception, BundleError)
    assert Registry(tmp_path).current() == second


def test_two_versions_are_compared(tmp_path: Path) -> None:
    """The one before with the one in use, or those that are named; with itself, nothing differs."""
    first = publish_tiny_bundle(tmp_path, ITEMS)
    assert isinstance(run(tmp_path, "diff").exception, BundleError)
    second = publish_tiny_bundle(tmp_path, tiny_items(25), seed=1)
    found = json.loads(run(tmp_path, "diff", "--json").output)
    assert (found["old"], found["new"]) == (first, second)
    assert (found["items_added"], found["items_removed"]) == (5, 0)
    assert RANKER in found["files"]
    assert found["score_difference"] > 0
    same = json.loads(run(tmp_path, "diff", first, first, "--json").output)
    assert (same["files"], same["score_difference"], same["rank_correlation"]) == ([], 0, 1)
    shown = run(tmp_path, "diff", first, second).output
    assert "5 added" in shown
    assert "rank correlation" in shown


@pytest.mark.parametrize("verb", ["list", "show", "publish", "use", "rollback", "diff"])
def test_help_teaches(verb: str) -> None:
    """Every verb says what it does."""
    result = CliRunner().invoke(command, [verb, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


STRANGE = [
    {"test": 1, "tasks": [1], "remarks": "x"},
    {"test": {"ranker": 7, "[/]": {"recall_at_20": "high"}}, "tasks": {"click": {"auc": None}}},
    {"test": {"ranker": {"recall_at_20": None}}, "remarks": [1, "[/red] \u001b[2J"]},
    {"test": {"ranker": []}, "tasks": {"[bold": {"true": 1, "auc": 0.5}}},
]


@pytest.mark.parametrize("metrics", STRANGE)
def test_figures_of_a_stranger_are_listed_and_shown(tmp_path: Path, metrics: object) -> None:
    """As far as they are figures; nothing ends for those that are not."""
    version = publish_tiny_bundle(tmp_path, ITEMS)
    made = msgspec.structs.replace(
        Registry(tmp_path).manifest(version), metrics=metrics, version=""
    )
    named = msgspec.structs.replace(made, version=version_of(made))
    (tmp_path / version).rename(tmp_path / named.version)
    (tmp_path / named.version / "manifest.json").write_bytes(msgspec.json.encode(named))
    (tmp_path / "CURRENT").write_text(f"{named.version}\n")
    for arguments in (["list"], ["list", "--json"], ["show"], ["show", "--json"]):
        result = run(tmp_path, *arguments)
        assert result.exit_code == 0, result.exception
        assert named.version in result.output


def test_a_damaged_pointer_is_said_and_mended(tmp_path: Path) -> None:
    """The list is shown all the same; `use` writes a good one."""
    version = publish_tiny_bundle(tmp_path, ITEMS)
    (tmp_path / "CURRENT").unlink()
    (tmp_path / "CURRENT").mkdir()
    listed = run(tmp_path, "list")
    assert listed.exit_code == 0
    assert version in listed.output
    assert "`freshet models use VERSION` writes a good one" in " ".join(listed.output.split())
    assert "CURRENT is a folder" in json.loads(run(tmp_path, "list", "--json").output)["fault"]
    assert run(tmp_path, "use", version).exit_code == 0
    assert Registry(tmp_path).current() == version


def test_without_space_a_switch_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of before, and nothing left behind."""
    first, second = (publish_tiny_bundle(tmp_path, ITEMS, seed=seed) for seed in range(2))
    before = sorted(path.name for path in tmp_path.iterdir())

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pointer.os, "fsync", fail)
    for arguments in (["use", first], ["rollback"]):
        result = run(tmp_path, *arguments)
        assert isinstance(result.exception, BundleError)
        assert "there is no space left" in str(result.exception)
    assert Registry(tmp_path).current() == second
    assert sorted(path.name for path in tmp_path.iterdir()) == before
