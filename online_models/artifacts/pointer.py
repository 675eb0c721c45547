"""`CURRENT`: the version in use and, below it, those in use before, newest first.

Law: it is replaced by one rename, so that a reader sees the old list or the new one; whatever goes
wrong on the way leaves the old one and nothing else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from freshet.core.errors import BundleError
from online_models.artifacts.files import read_bytes, writing
from online_models.artifacts.manifest import is_version

CURRENT: Final = "CURRENT"
HISTORY_KEPT: Final = 20
_MAX_BYTES: Final = 1 << 16


class Pointer:
    """The pointer of a registry.

    Args:
        models_dir: its folder.
    """

    def __init__(self, models_dir: Path) -> None:
        self._folder = models_dir

    def read(self) -> list[str]:
        """Return the versions, the one in use first; none before the first is published.

        Raises:
            BundleError: it is no list of versions.
        """
        if not os.path.lexists(self._folder / CURRENT):
            return []
        try:
            content = read_bytes(self._folder, CURRENT, _MAX_BYTES)
        except BundleError as error:
            raise self._damaged(error.reason) from error
        try:
            lines = [line.strip() for line in content.decode("ascii").splitlines()]
        except UnicodeDecodeError as error:
            raise self._damaged("it is no list of versions") from error
        used = [line for line in lines if line]
        if not used or not all(map(is_version, used)):
            raise self._damaged("it is no list of versions")
        return used

    @contextmanager
    def changing(self) -> Iterator[list[str]]:
        """Give the versions while no other process changes them; none where it is damaged.

        Raises:
            BundleError: the folder cannot be written.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / f".{CURRENT}.lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                used = self.read()
            except BundleError:  # to write a good one is how it is mended
                used = []
            yield used

    def write(self, used: list[str]) -> None:
        """Replace the list.

        Raises:
            BundleError: it cannot be written; the old one stays.
        """
        staged = self._folder / f".{CURRENT}.{os.getpid()}"
        with writing(self._folder):
            try:
                with staged.open("w", encoding="ascii") as file:
                    file.writelines(f"{version}\n" for version in used[:HISTORY_KEPT])
                    file.flush()
                    os.fsync(file.fileno())
                self._make_way()
                staged.replace(self._folder / CURRENT)
                sync(self._folder)
            finally:
                staged.unlink(missing_ok=True)

    def _make_way(self) -> None:
        """Move a folder of this name aside: a file cannot replace it."""
        path = self._folder / CURRENT
        if path.is_dir() and not path.is_symlink():
            path.rename(self._folder / f"{CURRENT}.damaged-{os.getpid()}-{path.lstat().st_ino}")

    def _damaged(self, reason: str) -> BundleError:
        return BundleError(
            self._folder / CURRENT, f"{reason}; `freshet models use VERSION` writes a good one"
        )


def sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
