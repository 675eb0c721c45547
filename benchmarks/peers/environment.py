"""Virtual environments of the peers: each has requirements of its own that would fight with ours.

They are made on first use under `$XDG_CACHE_HOME/freshet/peers`, or `~/.cache/freshet/peers`, and
made again when the requirements or the interpreter change. Redis' client has the version that
Freshet uses, so that no peer is slowed down by an older one.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from freshet.core.errors import ServiceError

REQUIREMENTS = {
    "bytewax": ("bytewax[kafka]==0.21.*", "orjson"),
    "quix": ("quixstreams==3.28.*",),
}
CLIENT = ("redis", "hiredis")


def requirements_of(name: str) -> list[str]:
    """Return what the environment of a peer holds.

    >>> requirements_of("bytewax")[0]
    'bytewax[kafka]==0.21.*'
    """
    return [*REQUIREMENTS[name], *(f"{package}=={version(package)}" for package in CLIENT)]


def peers_folder() -> Path:
    """Return the folder of the environments."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "freshet" / "peers"


def python_of(name: str, folder: Path | None = None) -> str:
    """Return the interpreter of a peer's environment, making it when it is not there.

    Args:
        name: a key of `REQUIREMENTS`.
        folder: of the environments; `peers_folder()` when None.

    Raises:
        ServiceError: it cannot be installed.
    """
    home = (folder or peers_folder()) / name
    python, stamp = home / "bin" / "python", home / "requirements.txt"
    wanted = "\n".join([f"# Python {platform.python_version()}", *requirements_of(name), ""])
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    shutil.rmtree(home, ignore_errors=True)
    _run(name, [sys.executable, "-m", "venv", str(home)])
    _run(name, [str(python), "-m", "pip", "install", "--quiet", *requirements_of(name)])
    stamp.write_text(wanted)  # last: an environment without it was never finished
    return str(python)


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(
            name,
            f"its environment cannot be made, `{' '.join(command)}` ended with code "
            f"{done.returncode}: {done.stderr.strip()[-500:]}; --no-peers measures without it",
        )
