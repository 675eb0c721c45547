"""Becomes another program that the kernel ends when the process that started it dies.

`python -m freshet.embedded.tether PARENT_PID PROGRAM [ARGUMENT...]`. The wish survives `exec`,
so it holds for programs that know nothing of it (Redis, Java), also after a kill -9 of the parent.

It is a program of its own because the alternative, code between fork and exec, may deadlock in a
parent with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>


def main(arguments: list[str]) -> None:
    """Replace this process by the program, tied to the life of the parent."""
    parent, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):  # it died before the wish was made
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
