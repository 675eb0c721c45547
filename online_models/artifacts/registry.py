"""The published bundles of an installation: folders named by version, and a pointer.

Law: a folder appears under its version complete and checked, by one rename, and is never written
again. `CURRENT` lists the version in use and, below it, those in use before, newest first; it is
replaced by one rename too, so that a reader sees the old list or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.check import check_in_child, load_bundle
from online_models.artifacts.manifest import Manifest, is_version, read_manifest

CURRENT = "CURRENT"
HISTORY_KEPT = 20


class Registry:
    """The bundles in one folder."""

    def __init__(
        self, models_dir: str | Path, *, checker: Callable[[Path], object] = check_in_child
    ) -> None:
        """Name the folder; it is made when something is published.

        Args:
            models_dir: folder of the bundles.
            checker: raises `BundleError` for a folder that must not serve.
        """
        self.models_dir = Path(models_dir)
        self._checker = checker

    # --- reading ---

    def versions(self) -> list[str]:
        """Return the published versions, oldest first."""
        if not self.models_dir.is_dir():
            return []
        names = (path.name for path in self.models_dir.iterdir() if path.is_dir())
        return sorted(filter(is_version, names))

    def current(self) -> str | None:
        """Return the version in use, None before the first is published."""
        return next(iter(self._used()), None)

    def previous(self) -> str | None:
        """Return the version that was in use before the current one."""
        return next(iter(self._used()[1:]), None)

    def path(self, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            BundleError: when it is not published.
        """
        folder = self.models_dir / version
        if not is_version(version) or not folder.is_dir():
            raise BundleError(folder, "there is no such version")
        return folder

    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a version.

        Raises:
            BundleError: when it is not published or its manifest is damaged.
        """
        folder = self.path(version)
        manifest = read_manifest(folder)
        if manifest.version != version:
            raise BundleError(folder, f"its manifest names version {manifest.version}")
        return manifest

    def check(self, version: str) -> None:
        """Check a version in a child process.

        Raises:
            BundleError: when it must not serve; the current version is untouched.
        """
        self.manifest(version)
        self._checker(self.path(version))

    def load(self, version: str) -> Bundle:
        """Return a version, checked in this process: sizes, digests, schemas, golden vectors.

        Raises:
            BundleError: when it must not serve.
        """
        self.manifest(version)
        return load_bundle(self.path(version))

    # --- writing ---

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give an empty folder to write a bundle into; what is not published is removed."""
        self.models_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=self.models_dir))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, *, instead_of: str | None = None) -> str:
        """Check the bundle in `folder`, take it into the registry and put it in use.

        Args:
            folder: from `staging`, which is moved, or anywhere else, which is copied.
            instead_of: the only version whose place it may take; any when None.

        Returns:
            Its version.

        Raises:
            BundleError: when it must not serve, or not in this place; nothing was changed.
        """
        if folder.parent.resolve() != self.models_dir.resolve():
            with self.staging() as copy:
                _copy(folder, copy)
                return self.publish(copy, instead_of=instead_of)
        self._checker(folder)
        version = read_manifest(folder).version
        target = self.models_dir / version
        with self._pointing() as used:
            if instead_of is not None and used[:1] != [instead_of]:
                found = ", ".join(used[:1]) or "none"
                raise BundleError(folder, f"{found} is in use, expected {instead_of}")
            if folder != target:
                self._take_in(folder, target)
            self._point_at([version, *(each for each in used if each != version)])
        return version

    def use(self, version: str) -> None:
        """Put a published version in use after a check.

        Raises:
            BundleError: when it must not serve; the current version is untouched.
        """
        self.check(version)
        with self._pointing() as used:
            self._point_at([version, *(each for each in used if each != version)])

    def rollback(self) -> str:
        """Put the version in use before the current one back and return it.

        Raises:
            BundleError: when there is none, or it must not serve.
        """
        version = self.previous()
        if version is None:
            raise BundleError(self.models_dir, "no version was in use before the current one")
        self.check(version)
        with self._pointing() as used:
            self._point_at(used[used.index(version) :])
        return version

    def remove(self, version: str) -> None:
        """Remove a published version that is neither in use nor the one before.

        It leaves the list of those that were in use first, so that nobody goes back to it.

        Raises:
            BundleError: it is not published, or must stay.
        """
        folder = self.path(version)
        with self._pointing() as used:
            if version in used[:2]:
                raise BundleError(folder, "it is in use, or next to be gone back to")
            self._point_at([each for each in used if each != version])
        shutil.rmtree(folder)

    # --- the pointer ---

    def _used(self) -> list[str]:
        try:
            lines = (self.models_dir / CURRENT).read_text("ascii").splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError as error:
            raise BundleError(self.models_dir / CURRENT, "it is no list of versions") from error
        if not all(map(is_version, lines)):
            raise BundleError(self.models_dir / CURRENT, "it is no list of versions")
        return lines

    @contextmanager
    def _pointing(self) -> Iterator[list[str]]:
        """Give the list of those in use while no other process changes it."""
        self.models_dir.mkdir(parents=True, exist_ok=True)
        with (self.models_dir / f".{CURRENT}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield self._used()

    def _point_at(self, used: list[str]) -> None:
        staged = self.models_dir / f".{CURRENT}.{os.getpid()}"
        with staged.open("w", encoding="ascii") as file:
            file.writelines(f"{version}\n" for version in used[:HISTORY_KEPT])
            file.flush()
            os.fsync(file.fileno())
        staged.replace(self.models_dir / CURRENT)
        _sync(self.models_dir)

    def _take_in(self, folder: Path, target: Path) -> None:
        for path in folder.iterdir():
            _sync(path)
        _sync(folder)
        folder.chmod(0o755)  # a temporary folder is private to its maker; a published one is not
        if target.is_dir():
            return  # the version names the content: it is already here
        folder.rename(target)
        _sync(self.models_dir)


def _copy(folder: Path, target: Path) -> None:
    """Copy what the manifest names, and nothing else."""
    manifest = read_manifest(folder)
    for name in ("manifest.json", *manifest.files):
        try:
            shutil.copyfile(folder / name, target / name)
        except OSError as error:
            raise BundleError(folder, f"{name} cannot be read ({error})") from error


def _sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
