"""A child process that writes to a log file, ends with its parent, and is stopped in two steps."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from freshet.core.errors import ServiceError

POLL_S = 0.02


class Child:
    """A running program, tied to the life of this process.

    The kernel ties it to the *thread* that started it: start children from the main thread.

    Args:
        name: what messages call it.
        command: the program and its arguments.
        log: where its output goes, appended.
        environment: variables on top of this process' own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._swept = False
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = log.stat().st_size if log.exists() else 0
        tether = [sys.executable, "-m", "freshet.embedded.tether", str(os.getpid())]
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches the parent alone, which stops its children in
            # order, and what a child leaves behind can be swept by its group.
            self.process = subprocess.Popen(
                [*tether, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait_until_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Poll `ready` until it is true.

        Raises:
            ServiceError: the child ended or is not ready in time; holds the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise ServiceError(
                    self.name, f"ended with code {self.process.returncode}\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ServiceError(
                    self.name, f"not ready within {timeout_s:.0f} s\n{self.log_tail()}"
                )
            time.sleep(POLL_S)

    def stop(self, timeout_s: float = 10.0) -> int:
        """Ask it to end, kill it when it does not, and return its exit code."""
        if self.running:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        return self.kill()

    def kill(self) -> int:
        """End it and all it started, at once, and return its exit code."""
        if not self._swept:  # once only: later the number may be another group's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._swept = True
        return self.process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that this child wrote."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            written = file.read().decode(errors="replace").splitlines()
        return "\n".join([*written[-lines:], f"(the whole log: {self.log})"])
