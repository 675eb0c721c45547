"""A receipt spares the check of the same bytes under the same conditions, and of nothing else."""

import os
from pathlib import Path

import pytest

from online_models.artifacts import receipts as module
from online_models.artifacts.checks.budget import Budget
from online_models.artifacts.manifest import MANIFEST
from online_models.artifacts.receipts import Receipts

VERSION = "20261122T045100-0a1b2c3d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / MANIFEST).write_bytes(b"one")
    return tmp_path / VERSION


def test_the_same_bundle_has_one(folder: Path) -> None:
    """Another manifest under this version has none."""
    receipts = Receipts(folder.parent, Budget())
    assert not receipts.has(folder, VERSION)
    receipts.add(folder, VERSION)
    assert Receipts(folder.parent, Budget()).has(folder, VERSION)
    (folder / MANIFEST).write_bytes(b"other")
    assert not receipts.has(folder, VERSION)
    (folder / MANIFEST).unlink()
    assert not receipts.has(folder, VERSION)


def test_other_conditions_make_it_worthless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another budget, other checks, another machine."""
    Receipts(folder.parent, Budget()).add(folder, VERSION)
    assert not Receipts(folder.parent, Budget(list_ms=1)).has(folder, VERSION)
    for place, name, value in (
        (module, "CHECKS_VERSION", 99),
        (module.platform, "machine", lambda: "elsewhere"),
        (module.os, "cpu_count", lambda: 1000),
        (module, "version_of", lambda _: "99"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            assert not Receipts(folder.parent, Budget()).has(folder, VERSION)
    assert Receipts(folder.parent, Budget()).has(folder, VERSION)


def test_where_it_cannot_be_it_is_not(folder: Path) -> None:
    """A folder or a FIFO of its name, or bytes that are none: the check is made again."""
    receipts = Receipts(folder.parent, Budget())
    path = folder.parent / f".checked-{VERSION}"
    path.mkdir()
    receipts.add(folder, VERSION)
    assert not receipts.has(folder, VERSION)
    path.rmdir()
    os.mkfifo(path)
    assert not receipts.has(folder, VERSION)
    receipts.add(folder, VERSION)
    assert receipts.has(folder, VERSION)
    path.write_bytes(b"\xff")
    assert not receipts.has(folder, VERSION)
    receipts.remove(VERSION)
    receipts.remove(VERSION)
    assert sorted(each.name for each in folder.parent.iterdir()) == [VERSION]
