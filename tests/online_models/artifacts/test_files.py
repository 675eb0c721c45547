"""Only regular files of bounded size are read, and a write that fails is a sentence."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet.core.errors import BundleError
from online_models.artifacts import files


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def huge(path: Path) -> None:
    """A terabyte that takes no space."""
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "is a FIFO, expected a regular file"),
        (Path.mkdir, "is a folder, expected a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
        (lambda path: path.symlink_to(path.name), "is a symbolic link"),
        (lambda path: path.symlink_to("whole"), "is a symbolic link"),
        (bind, "is a socket"),
        (huge, "has 1,099,511,627,776 bytes"),
        (lambda path: None, "cannot be read"),
    ],
)
def test_what_is_no_file_of_bounded_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], words: str
) -> None:
    """And nothing waits for it, whoever reads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole").write_bytes(b"whole")
    make(Path("x"))
    for read in (files.read_bytes, files.size_of, files.sha256_of):
        with pytest.raises(BundleError, match=words):
            read(tmp_path, "x", 1000)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """Also an empty one, and one of exactly the bound."""
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "none").touch()
    assert files.read_bytes(tmp_path, "x", 5) == b"12345"
    assert files.read_bytes(tmp_path, "none", 5) == b""
    assert files.size_of(tmp_path, "x", 5) == 5
    assert files.sha256_of(tmp_path, "x", 5).startswith("5994471abb01112a")
    with pytest.raises(BundleError, match="has 5 bytes, expected at most 4"):
        files.read_bytes(tmp_path, "x", 4)


def test_a_folder_is_no_link(tmp_path: Path) -> None:
    """It could lead anywhere."""
    files.require_folder(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name, words in (("link", "is a symbolic link"), ("file", "a file"), ("no", "no such")):
        with pytest.raises(BundleError, match=words):
            files.require_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "there is no space left in .*; free"),
        (OSError("640 requested and 10 written"), "there is no space left in"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be written .* permission"),
        (OSError(errno.EIO, "Input/output error"), "cannot be written"),
    ],
)
def test_a_write_that_fails_says_why(tmp_path: Path, error: OSError, words: str) -> None:
    """And what to do."""
    with pytest.raises(BundleError, match=words), files.writing(tmp_path):
        raise error


@pytest.mark.timeout(20)
def test_what_is_exchanged_after_the_look_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening it waits for nobody and follows nothing."""
    (tmp_path / "whole").write_bytes(b"whole")
    looked = (tmp_path / "whole").lstat()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("whole")
    monkeypatch.setattr(Path, "lstat", lambda _: looked)
    with pytest.raises(BundleError, match="fifo is a FIFO"):
        files.read_bytes(tmp_path, "fifo", 1000)
    with pytest.raises(BundleError, match="link cannot be read"):
        files.read_bytes(tmp_path, "link", 1000)
