"""The supervisor: starts the worker again whenever it ends without having been asked to.

It has no port. What it counts reaches Prometheus through the worker that it starts next.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from streams.exits import EXIT_SETTING, ExitCounts

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
HEALTHY_S = 10.0
KILL_AFTER_S = 2.0
LOOK_S = 0.5  # a request to end that came before the child was known is seen so late
CRASH_LOOP = 5  # ends in a row, none after a healthy life


class _Stop:
    """Whether this process was asked to end; a signal handler may say so at any moment.

    No `threading.Event`: a handler runs in the thread that waits, and an event's lock cannot be
    taken twice. A `SimpleQueue` may be put into while it is being waited for.
    """

    def __init__(self) -> None:
        self.asked = False
        self._calls: SimpleQueue[None] = SimpleQueue()

    def ask(self) -> None:
        """Note that the process shall end, and wake who waits."""
        self.asked = True
        self._calls.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the process is asked to end, or for so long; return whether it was."""
        if not self.asked:
            with suppress(Empty):
                self._calls.get(timeout=timeout_s)
        return self.asked


def next_pause_s(pause_s: float, lived_s: float) -> float:
    """Return how long to wait before the next start.

    >>> next_pause_s(0.2, lived_s=1), next_pause_s(20, lived_s=1), next_pause_s(20, lived_s=60)
    (0.4, 10.0, 0.2)
    """
    return FIRST_PAUSE_S if lived_s >= HEALTHY_S else min(pause_s * 2, LONGEST_PAUSE_S)


def supervise(
    command: Sequence[str],
    *,
    shutdown_s: float,
    counts: ExitCounts | None = None,
    inherited: Sequence[int] = (),
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run a program until it ends by itself with 0 or 2, or a signal asks this process to end.

    Args:
        command: the program and its arguments.
        shutdown_s: how long the program may take to stop.
        counts: why it ended each time, where the program itself does not say.
        inherited: descriptors that stay open in the program.
        clock: monotonic seconds.

    Returns:
        The exit code: 0 after a signal, else the program's own.
    """
    stop = _Stop()
    child: subprocess.Popen[bytes] | None = None
    counts = counts or ExitCounts(None)

    def ask(_signal: int, _frame: object) -> None:
        stop.ask()
        if child is not None and child.poll() is None:
            child.terminate()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, ask)
    pause_s, in_a_row = FIRST_PAUSE_S / 2, 0
    while not stop.asked:
        started, noted = clock(), counts.read().total()
        child = subprocess.Popen(_tethered(command), start_new_session=True, pass_fds=inherited)
        code = _wait(child, stop, shutdown_s + KILL_AFTER_S)
        if stop.asked or code in (0, EXIT_SETTING):
            return 0 if stop.asked else code
        if counts.read().total() == noted:
            counts.note("killed" if code < 0 else "unknown")
        lived_s = clock() - started
        pause_s = next_pause_s(pause_s, lived_s)
        in_a_row = 0 if lived_s >= HEALTHY_S else in_a_row + 1
        log.warning("worker ended with code %d, starts again in %.1f s", code, pause_s)
        if in_a_row == CRASH_LOOP:
            log.error(
                "the worker ended %d times in a row within %g s of its start (%s); starting it "
                "again will hardly help: its log says what is wrong",
                in_a_row,
                HEALTHY_S,
                ", ".join(f"{count} {reason}" for reason, count in counts.read().items()),
            )
        stop.wait(pause_s)
    return 0


def _tethered(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "freshet.embedded.tether", str(os.getpid()), *command]


def _wait(child: subprocess.Popen[bytes], stop: _Stop, kill_after_s: float) -> int:
    while child.poll() is None:
        if stop.asked:
            child.terminate()  # once more: the signal may have come before the child was known
            try:
                return child.wait(kill_after_s)
            except subprocess.TimeoutExpired:
                child.kill()
        else:
            _wait_for_end(child, LOOK_S)
    return child.wait()


def _wait_for_end(child: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Wait until a child ends, asleep: `Popen.wait` looks twenty times a second."""
    if not hasattr(os, "pidfd_open"):
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout_s)
        return
    ended = os.pidfd_open(child.pid)  # of a child that nobody has waited for: it is still ours
    try:
        select.select([ended], [], [], timeout_s)
    finally:
        os.close(ended)
