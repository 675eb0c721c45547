"""The pointer is a list of versions or an error, and a failed write leaves the old one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet.core.errors import BundleError
from online_models.artifacts import pointer as module
from online_models.artifacts.pointer import CURRENT, Pointer

FIRST, SECOND = "20261122T045100-0a1b2c3d", "20261123T045100-0a1b2c3d"


def link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")
    (path.parent / "elsewhere").write_text(f"{FIRST}\n")


def huge(path: Path) -> None:
    """A terabyte that takes no space."""
    path.touch()
    os.truncate(path, 1 << 40)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "empty": lambda path: path.write_bytes(b""),
    "a space": lambda path: path.write_bytes(b" \n"),
    "huge": huge,
    "a path": lambda path: path.write_text("../../etc\n"),
    "half": lambda path: path.write_text(f"{FIRST}\n{SECOND[:9]}"),
    "a folder": lambda path: (path / "inside").mkdir(parents=True),
    "a FIFO": os.mkfifo,
    "a link": link,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
}


def test_none_before_the_first(tmp_path: Path) -> None:
    """Also where there is no folder."""
    assert Pointer(tmp_path / "none").read() == []


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Also with the spaces and ends of line of another editor."""
    pointer = Pointer(tmp_path)
    pointer.write([SECOND, FIRST])
    assert pointer.read() == [SECOND, FIRST]
    (tmp_path / CURRENT).write_bytes(f"{FIRST} \r\n\r\n".encode())
    assert pointer.read() == [FIRST]


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_no_list_is_refused_and_can_be_replaced(tmp_path: Path, name: str) -> None:
    """It says how; a folder with something inside is kept aside."""
    DAMAGES[name](tmp_path / CURRENT)
    pointer = Pointer(tmp_path)
    with pytest.raises(BundleError, match="`freshet models use VERSION` writes a good one"):
        pointer.read()
    with pointer.changing() as used:
        assert used == []
        pointer.write([FIRST])
    assert pointer.read() == [FIRST]
    assert (tmp_path / CURRENT).is_file()
    kept = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(kept) == (name == "a folder")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """No space on the disk, or an error of it: the old list stays, and nothing beside it."""
    pointer = Pointer(tmp_path)
    pointer.write([FIRST])
    before = sorted(path.name for path in tmp_path.iterdir())

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os if step == "fsync" else Path, step, fail)
    with pytest.raises(BundleError, match="there is no space left"):
        pointer.write([SECOND])
    monkeypatch.undo()
    assert pointer.read() == [FIRST]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
