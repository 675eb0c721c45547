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
STOPPED_WITHIN_S = 10.0


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

    def freeze(self) -> None:
        """Take the processor from it; see `freeze`."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Let it go on when it is frozen."""
        self.process.send_signal(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that this child wrote."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            written = file.read().decode(errors="replace").splitlines()
        return "\n".join([*written[-lines:], f"(the whole log: {self.log})"])


def freeze(pid: int) -> None:
    """Take the processor from a process, and return when none of its threads runs any more.

    The signal only asks: on a busy machine the threads run on until one of them has its turn, and
    answer requests meanwhile.

    Raises:
        ProcessLookupError: there is no such process.
        ServiceError: it still runs after `STOPPED_WITHIN_S`.
    """
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + STOPPED_WITHIN_S
    while not is_frozen(pid):
        if time.monotonic() > deadline:
            raise ServiceError(f"process {pid}", f"not frozen within {STOPPED_WITHIN_S:.0f} s")
        time.sleep(POLL_S / 10)


def is_frozen(pid: int) -> bool:
    """Return whether no thread of a process runs or may run; a process that ended is frozen too."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            # The state follows the name, which may hold anything; see proc(5).
            if (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "TtZX":
                return False
    return True
