"""Checks a bundle in a process of its own: a corrupt graph or index may end the process.

`python -m online_models.artifacts.check FOLDER` ends with 0, or with 1 and the reason on standard
output; anything else is a crash, and a crash is a refusal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.golden import check_golden

CHECK_TIMEOUT_S = 120.0


def load_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder` after all checks, golden vectors included.

    Raises:
        BundleError: when it must not serve.
    """
    bundle = open_bundle(folder)
    check_golden(folder, bundle)
    return bundle


def check_in_child(folder: Path, *, timeout_s: float = CHECK_TIMEOUT_S) -> None:
    """Load the bundle in a child process, and let only the child come to harm.

    Raises:
        BundleError: when the child refuses it, is killed, or does not end in time.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    }
    command = [sys.executable, "-m", "online_models.artifacts.check", str(folder.resolve())]
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(folder, f"its check took longer than {timeout_s:.0f} s") from error
    if child.returncode == 0:
        return
    if child.returncode == 1 and child.stdout.strip():
        raise BundleError(folder, child.stdout.strip())
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise BundleError(folder, f"its check was ended by {name}")
    last = child.stderr.strip().splitlines()[-1:] or ["no message"]
    raise BundleError(folder, f"its check ended with code {child.returncode} ({last[0]})")


def main() -> int:
    """Check the bundle named by the first argument; the exit code is the answer."""
    try:
        load_bundle(Path(sys.argv[1]))
    except BundleError as error:
        print(error.reason)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
