"""The installation that `freshet up` or `freshet demo` runs in this folder, for the other verbs.

It is a settings file, `.freshet/running.toml`, that lives as long as the installation; `freshet
replay`, `doctor` and the rest use it when nothing else is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from freshet.core.errors import FreshetError
from freshet.core.security import SecuritySettings
from freshet.core.settings import Settings

FOLDER = Path(".freshet")
RUNNING_FILE = FOLDER / "running.toml"
NAMES = (
    "namespace",
    "kafka_bootstrap",
    "redis_url",
    "models_dir",
    "http_host",
    "http_port",
    *SecuritySettings.__struct_fields__,
)
OWN_ADDRESSES = ("FRESHET_CONFIG", "FRESHET_KAFKA_BOOTSTRAP", "FRESHET_REDIS_URL")
_PID_LINE = "# process "


def find_running(environ: Mapping[str, str], file: Path = RUNNING_FILE) -> Path | None:
    """Return the settings file of the running installation, when the environment names no other.

    Args:
        environ: variables of this process.
        file: where an installation leaves its settings.
    """
    if any(name in environ for name in OWN_ADDRESSES):
        return None
    return file if _owner(file) is not None else None


@contextmanager
def announce(settings: Settings, pid: int, file: Path = RUNNING_FILE) -> Iterator[None]:
    """Let the other verbs find this installation, for as long as the context lasts.

    Args:
        settings: with the true addresses.
        pid: of the process whose life is the installation's.
        file: where to leave them.

    Raises:
        FreshetError: another installation runs in this folder.
    """
    require_none(file)
    values = {name: getattr(settings, name) for name in NAMES}
    lines = [f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in values.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_private(file, f"{_PID_LINE}{pid}\n{''.join(lines)}")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def require_none(file: Path = RUNNING_FILE) -> None:
    """Make a second installation in one folder an error, before it touches what the first uses.

    Raises:
        FreshetError: one is running.
    """
    owner = _owner(file)
    if owner is not None:
        raise FreshetError(
            f"an installation already runs in this folder (process {owner}); end it with Ctrl-C, "
            "or start this one in another folder"
        )


def _write_private(file: Path, text: str) -> None:
    """Write a file that nobody else may read: it may hold passwords."""
    file.unlink(missing_ok=True)  # one that was left there keeps its mode, or is a link
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)


def _owner(file: Path) -> int | None:
    """Return the process that left the file, None when there is no such file or process."""
    try:
        first = file.read_text().partition("\n")[0]
    except OSError:
        return None
    number = first.removeprefix(_PID_LINE)
    return int(number) if number.isdigit() and psutil.pid_exists(int(number)) else None
