"""The processes of an installation on this machine: worker and server, on their backends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx
import msgspec
import psutil

from freshet.commands.backends import Durable, Say, start_backends
from freshet.commands.running import announce, require_none
from freshet.core.address import http_url
from freshet.core.errors import ServiceError
from freshet.core.settings import Settings, environment_of
from freshet.embedded.child import Child

SERVER_READY_S = 60.0
WATCH_S = 0.25
VERB = [sys.executable, "-m", "freshet.commands.main"]


@dataclass(frozen=True, slots=True)
class Server:
    """A running `freshet serve`."""

    child: Child
    url: str


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation.

    Attributes:
        settings: with the true addresses.
        worker: the supervisor of the worker.
        server: the server.
    """

    settings: Settings
    worker: Child
    server: Server

    @property
    def url(self) -> str:
        """Of the server."""
        return self.server.url

    @property
    def children(self) -> list[Child]:
        """The processes without which it is none."""
        return [self.worker, self.server.child]


@contextmanager
def run_installation(
    settings: Settings, *, logs: Path, say: Say, durable: Durable | None = None
) -> Iterator[Installation]:
    """Run backends, worker and server for as long as the context lasts.

    Ctrl-C and SIGTERM both end the context by KeyboardInterrupt.

    Args:
        settings: addresses that the environment does not name are replaced.
        logs: folder of the logs of all processes.
        say: tells a person what is happening.
        durable: the backends that keep what they have; None for those that forget.

    Raises:
        ServiceError: one of them does not start.
        SettingError: what is asked for and what is named do not go together.
    """
    require_none()
    # Both by name: a shell starts what it puts into the background with SIGINT ignored.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, _interrupt)
    with ExitStack() as stack:
        say(f"starting; logs are in {logs}/")
        settings = start_backends(stack, settings, logs=logs, durable=durable, say=say)
        worker = start_worker(settings, log=logs / "worker.log")
        stack.callback(worker.stop)
        server = start_server(settings, log=logs / "server.log")
        stack.callback(server.child.stop)
        port = int(server.url.rpartition(":")[2])
        settings = msgspec.structs.replace(settings, http_port=port)
        stack.enter_context(announce(settings, os.getpid()))
        yield Installation(settings, worker, server)


def supervise_until_asked(children: Sequence[Child]) -> None:
    """Watch the children until Ctrl-C or SIGTERM.

    Raises:
        ServiceError: one of them ended by itself.
    """
    try:
        while True:
            require_running(children)
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        return


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def start_worker(settings: Settings, *, log: Path) -> Child:
    """Start `freshet worker` with these settings.

    Where it shares the processor with the server, an answer goes before a round of events.
    """
    command = ["nice", "-n", "5", *VERB, "worker"]
    return Child("worker", command, log=log, environment=environment_of(settings))


def start_server(settings: Settings, *, log: Path, wait_until_ready: bool = True) -> Server:
    """Start `freshet serve` and wait until it listens, then until it is ready to recommend.

    Args:
        settings: `http_port` 0 takes a free port.
        log: where its output goes.
        wait_until_ready: whether to wait for `/readyz` too, which needs a worker's state.

    Raises:
        ServiceError: it ended, or is not ready in time.
    """
    command = [*VERB, "serve", "--port", str(settings.http_port)]
    child = Child("server", command, log=log, environment=environment_of(settings))
    try:
        child.wait_until_ready(lambda: bool(_listening_ports(child)), SERVER_READY_S)
        url = http_url(settings.http_host, _listening_ports(child)[0])
        if wait_until_ready:
            child.wait_until_ready(lambda: _is_ready(url), SERVER_READY_S)
    except BaseException:
        child.stop()
        raise
    return Server(child, url)


def _listening_ports(child: Child) -> list[int]:
    """Return the TCP ports on which the child or its children listen, lowest first."""
    try:
        process = psutil.Process(child.pid)
        family = [process, *process.children(recursive=True)]
        connections = [each for member in family for each in member.net_connections(kind="tcp")]
    except psutil.NoSuchProcess:
        return []
    return sorted({each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN})


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


def require_running(children: Sequence[Child]) -> None:
    """Raise when one of the children has ended by itself.

    Raises:
        ServiceError: names it and holds the end of its log.
    """
    for child in children:
        if not child.running:
            code = child.process.returncode
            raise ServiceError(child.name, f"ended with code {code}\n{child.log_tail()}")
