"""The supervisor: starts the worker again whenever it ends without having been asked to."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from freshet.core.metrics import WORKER_RESTARTS
from streams.app import EXIT_SETTING

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 30.0
KILL_AFTER_S = 2.0


def next_pause_s(pause_s: float, lived_s: float) -> float:
    """Return how long to wait before the next start.

    >>> next_pause_s(0.2, lived_s=1), next_pause_s(20, lived_s=1), next_pause_s(20, lived_s=60)
    (0.4, 30.0, 0.2)
    """
    return FIRST_PAUSE_S if lived_s >= HEALTHY_S else min(pause_s * 2, LONGEST_PAUSE_S)


def supervise(
    command: Sequence[str],
    *,
    shutdown_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run a program until it ends by itself with 0 or 2, or a signal asks this process to end.

    Args:
        command: the program and its arguments.
        shutdown_s: how long the program may take to stop.
        clock: monotonic seconds.

    Returns:
        The exit code: 0 after a signal, else the program's own.
    """
    asked = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def stop(_signal: int, _frame: object) -> None:
        asked.set()
        if child is not None and child.poll() is None:
            child.terminate()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)
    pause_s = FIRST_PAUSE_S / 2
    while not asked.is_set():
        started = clock()
        child = subprocess.Popen(_tethered(command), start_new_session=True)
        code = _wait(child, asked, shutdown_s + KILL_AFTER_S)
        if asked.is_set() or code in (0, EXIT_SETTING):
            return 0 if asked.is_set() else code
        pause_s = next_pause_s(pause_s, clock() - started)
        WORKER_RESTARTS.labels(str(code)).inc()
        log.warning("worker ended with code %d, starts again in %.1f s", code, pause_s)
        asked.wait(pause_s)
    return 0


def _tethered(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "freshet.embedded.tether", str(os.getpid()), *command]


def _wait(child: subprocess.Popen[bytes], asked: threading.Event, kill_after_s: float) -> int:
    while child.poll() is None:
        if asked.wait(0.05):
            child.terminate()  # once more: the signal may have come before the child was known
            try:
                return child.wait(kill_after_s)
            except subprocess.TimeoutExpired:
                child.kill()
        else:
            try:
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    return child.wait()
