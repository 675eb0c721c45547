"""What is pulled: the processes behind a supervisor, and a freeze that always thaws."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from freshet.embedded.child import Child

START_S = 30.0


def worker_process(supervisor: Child) -> psutil.Process | None:
    """Return the worker below a supervisor, if it is running."""
    with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor itself may have ended
        for process in psutil.Process(supervisor.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                if "--alone" in process.cmdline():
                    return process
    return None


def await_worker(supervisor: Child, wait_until: Callable[..., None]) -> psutil.Process:
    """Wait until a supervisor's worker runs, and return it."""
    wait_until(lambda: worker_process(supervisor), START_S, f"{supervisor.name} runs a worker")
    process = worker_process(supervisor)
    assert process is not None
    return process


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes as a pause of their machine would, and let them go on in the end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
