"""What passed the checks on this machine, so that a restart or another process need not repeat it.

A receipt names the bytes: the digest of the manifest, which holds the digest of every file, and
those are compared anyway when a bundle is loaded. Other versions of the checks or of the runtime,
other limits, or another processor make a receipt worthless.
"""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Final

from freshet.core.errors import BundleError
from online_models.artifacts.check import CHECKS_VERSION
from online_models.artifacts.checks.budget import Budget
from online_models.artifacts.files import read_bytes
from online_models.artifacts.manifest import MANIFEST, MAX_MANIFEST_BYTES

_PREFIX: Final = ".checked-"
_MAX_BYTES: Final = 4096


class Receipts:
    """The receipts of a registry; a folder that cannot be written has none.

    Args:
        models_dir: its folder.
        budget: within which bundles are checked.
    """

    def __init__(self, models_dir: Path, budget: Budget) -> None:
        self._models_dir = models_dir
        self._conditions = " ".join(
            (
                str(CHECKS_VERSION),
                version_of("onnxruntime"),
                version_of("hnswlib"),
                _processor(),
                budget.encoded(),
            )
        )

    def has(self, folder: Path, version: str) -> bool:
        """Return whether the bundle in `folder` passed under these conditions."""
        try:
            found = read_bytes(self._models_dir, f"{_PREFIX}{version}", _MAX_BYTES)
            return found.decode() == self._text(folder)
        except (BundleError, UnicodeDecodeError):
            return False

    def add(self, folder: Path, version: str) -> None:
        """Note that the bundle in `folder` passed, where that can be noted."""
        path = self._models_dir / f"{_PREFIX}{version}"
        staged = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            try:
                staged.write_text(self._text(folder))
                staged.replace(path)
            finally:
                staged.unlink(missing_ok=True)

    def remove(self, version: str) -> None:
        """Forget a version."""
        with suppress(OSError):
            (self._models_dir / f"{_PREFIX}{version}").unlink(missing_ok=True)

    def _text(self, folder: Path) -> str:
        manifest = read_bytes(folder, MANIFEST, MAX_MANIFEST_BYTES)
        return f"{hashlib.sha256(manifest).hexdigest()} {self._conditions}\n"


def _processor() -> str:
    """Return what this machine computes with; containers on it change their names, and not that."""
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line for line in lines if line.startswith("model name")), "")
    return f"{platform.machine()} {os.cpu_count()} {model.partition(':')[2].strip()}"
