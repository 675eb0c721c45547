"""The published bundles of an installation: folders named by version, and a pointer.

Law: a folder appears under its version complete and checked, by one rename, and is never written
again. A write that fails leaves the state of before, and nothing else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from freshet.core.errors import BundleError
from freshet.core.settings import Settings
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.check import check_in_child
from online_models.artifacts.checks.budget import Budget
from online_models.artifacts.files import read_bytes, require_folder, writing
from online_models.artifacts.golden import check_golden
from online_models.artifacts.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Manifest,
    is_version,
    max_bytes,
    read_manifest,
    verify_files,
)
from online_models.artifacts.pointer import CURRENT, HISTORY_KEPT, Pointer, sync
from online_models.artifacts.receipts import Receipts

__all__ = ["CURRENT", "HISTORY_KEPT", "Registry"]


class Registry:
    """The bundles in one folder."""

    def __init__(
        self,
        models_dir: str | Path,
        *,
        checker: Callable[[Path], object] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Name the folder; it is made when something is published.

        Args:
            models_dir: folder of the bundles.
            checker: raises `BundleError` for a folder that must not serve; checks in a child
                process when None.
            budget: within which a child process checks.
        """
        budget = budget or Budget()
        self.models_dir = Path(models_dir)
        self._checker = checker or partial(check_in_child, budget=budget)
        self._pointer = Pointer(self.models_dir)
        self._receipts = Receipts(self.models_dir, budget)

    @classmethod
    def of(cls, settings: Settings) -> Registry:
        """Return the registry that the settings name, with their limits."""
        return cls(settings.models_dir, budget=Budget.of(settings))

    # --- reading ---

    def versions(self) -> list[str]:
        """Return the published versions, oldest first."""
        if not self.models_dir.is_dir():
            return []
        names = (path.name for path in self.models_dir.iterdir() if path.is_dir())
        return sorted(filter(is_version, names))

    def current(self) -> str | None:
        """Return the version in use, None before the first is published."""
        return next(iter(self._pointer.read()), None)

    def previous(self) -> str | None:
        """Return the version that was in use before the current one."""
        return next(iter(self._pointer.read()[1:]), None)

    def path(self, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            BundleError: when it is not published.
        """
        folder = self.models_dir / version
        if not is_version(version) or not folder.is_dir():
            raise BundleError(folder, "there is no such version")
        require_folder(folder)
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
        """Check a version in a child process; one that passed before, by its digests alone.

        Raises:
            BundleError: when it must not serve; the current version is untouched.
        """
        manifest, folder = self.manifest(version), self.path(version)
        if self._receipts.has(folder, version):
            verify_files(folder, manifest)
        else:
            self._checker(folder)
            self._receipts.add(folder, version)

    def passed(self, version: str) -> bool:
        """Return whether a version passed its check on this machine before."""
        return self._receipts.has(self.models_dir / version, version)

    def load(self, version: str) -> Bundle:
        """Return a version, checked in this process: sizes, digests, schemas, golden vectors.

        A file may end the process that opens it: `check` comes first, unless the bundle is our own.

        Raises:
            BundleError: when it must not serve.
        """
        self.manifest(version)
        bundle = open_bundle(self.path(version))
        check_golden(self.path(version), bundle)
        return bundle

    # --- writing ---

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give an empty folder to write a bundle into; what is not published is removed.

        Raises:
            BundleError: there is no space left, or the folder cannot be written.
        """
        with writing(self.models_dir):
            self.models_dir.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=self.models_dir))
        try:
            with writing(self.models_dir):
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
            BundleError: when it must not serve, or not in this place, or cannot be written; nothing
                was changed.
        """
        if folder.parent.resolve() != self.models_dir.resolve():
            with self.staging() as copy:
                _copy(folder, copy)
                return self.publish(copy, instead_of=instead_of)
        self._checker(folder)
        version = read_manifest(folder).version
        target = self.models_dir / version
        with self._pointer.changing() as used:
            if instead_of is not None and used[:1] != [instead_of]:
                found = ", ".join(used[:1]) or "none"
                raise BundleError(folder, f"{found} is in use, expected {instead_of}")
            if folder != target:
                self._take_in(folder, target)
            self._receipts.add(target, version)
            self._point_at([version, *(each for each in used if each != version)])
        return version

    def use(self, version: str) -> None:
        """Put a published version in use after a check.

        Raises:
            BundleError: when it must not serve; the current version is untouched.
        """
        self.check(version)
        with self._pointer.changing() as used:
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
        with self._pointer.changing() as used:
            self._point_at(used[used.index(version) :])
        return version

    def remove(self, version: str) -> None:
        """Remove a published version that is neither in use nor the one before.

        It leaves the list of those that were in use first, so that nobody goes back to it.

        Raises:
            BundleError: it is not published, or must stay.
        """
        folder = self.path(version)
        with self._pointer.changing() as used:
            if version in used[:2]:
                raise BundleError(folder, "it is in use, or next to be gone back to")
            self._point_at([each for each in used if each != version])
        self._receipts.remove(version)
        with writing(folder):
            shutil.rmtree(folder)

    def _point_at(self, used: list[str]) -> None:
        self._pointer.write(used)

    def _take_in(self, folder: Path, target: Path) -> None:
        """Move a checked folder to its place, also where a damaged one of this version is."""
        with writing(self.models_dir):
            for path in folder.iterdir():
                sync(path)
            sync(folder)
            folder.chmod(0o755)  # a temporary folder is private to its maker; a published is not
            if _is_whole(target):
                return  # the version names the content: it is already here
            with tempfile.TemporaryDirectory(prefix=".staging-", dir=self.models_dir) as aside:
                if os.path.lexists(target):
                    target.rename(Path(aside) / "damaged")
                folder.rename(target)
                sync(self.models_dir)


def _is_whole(folder: Path) -> bool:
    """Whether there is a bundle with every file as its manifest says."""
    try:
        require_folder(folder)
        verify_files(folder, read_manifest(folder))
    except BundleError:
        return False
    return True


def _copy(folder: Path, target: Path) -> None:
    """Copy what the manifest names, and nothing else."""
    manifest = read_manifest(folder)
    (target / MANIFEST).write_bytes(read_bytes(folder, MANIFEST, MAX_MANIFEST_BYTES))
    for name in manifest.files:
        (target / name).write_bytes(read_bytes(folder, name, max_bytes(manifest, name)))
