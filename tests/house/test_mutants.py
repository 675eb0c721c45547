"""The planted bugs fit the source, and a test that fails is told from one that cannot run."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "scripts" / "mutants"
AT_LEAST = 25


def load(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


planted = load("planted")
plant = load("plant")


@pytest.mark.parametrize("bug", planted.PLANTED, ids=lambda bug: bug.name)
def test_a_bug_fits_the_source_as_it_is(bug: Any) -> None:
    """What it replaces is there once, the file still parses, and its tests exist."""
    changed = bug.applied((ROOT / bug.file).read_text())
    if bug.file.endswith(".py"):
        ast.parse(changed)
    for test in bug.tests:
        assert (ROOT / test.partition("::")[0]).is_file(), test


def test_there_are_enough_with_names_of_their_own() -> None:
    """Over folds, store, joiner, serving and registry."""
    names = [bug.name for bug in planted.PLANTED]
    assert len(names) == len(set(names)) >= AT_LEAST
    files = {bug.file.split("/")[0] for bug in planted.PLANTED}
    assert {"streams", "serving", "online_models"} <= files


def test_what_is_not_there_once_is_refused() -> None:
    """A table that lags behind the source must not look like bugs that were found."""
    bug = planted.Planted("none", "file.py", "a", "b", ())
    for text in ("", "aa"):
        with pytest.raises(ValueError, match="expected 1"):
            bug.applied(text)
    assert bug.applied("xay") == "xby"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one function and one test."""
    (tmp_path / "source.py").write_text("def double(x):\n    return 2 * x\n")
    test = "import source\n\n\ndef test_double():\n    assert source.double(3) == 6\n"
    (tmp_path / "test_source.py").write_text(test)
    monkeypatch.setattr(plant, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "code", "found"),
    [("2 * x", "3 * x", 1, True), ("2 * x", "x * 2", 0, False), ("return", "retrun", 2, False)],
    ids=["wrong", "the same", "broken"],
)
def test_a_test_that_fails_finds_a_bug(
    project: Path,
    tmp_path_factory: pytest.TempPathFactory,
    old: str,
    new: str,
    code: int,
    found: bool,
) -> None:
    """One that cannot be collected does not, and the copy is as it was afterwards."""
    folder = tmp_path_factory.mktemp("copy")
    bug = planted.Planted("bug", "source.py", old, new, ("test_source.py",))
    result = plant.Copy(folder).try_one(bug, 60)
    assert (result.code, result.found) == (code, found)
    clean = (project / "source.py").read_text()
    assert (folder / "project" / "source.py").read_text() == clean


def test_figures_name_what_was_not_found() -> None:
    """A bug with a reason is named too."""
    bugs = [planted.Planted(name, "f", "a", "b", (), why) for name, why in [("x", ""), ("y", "w")]]
    results = [plant.Result(bugs[0], 1, 2.0, ""), plant.Result(bugs[1], 0, 3.0, "")]
    assert plant.summary(results) == {
        "planted": 2,
        "found": 1,
        "not_found": ["y"],
        "named_with_reason": ["y"],
        "slowest_s": 3.0,
    }
    assert plant.line_of(results[1]).endswith("y: NOT FOUND (w)")
