"""How a worker ends, and how often it has: codes, reasons, and the file that counts them.

Law: a worker ends at once and acknowledges nothing. Its state is safe at any moment, so no way of
ending is gentler than another; what differs is the reason, which its supervisor counts.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Final, NoReturn

from freshet.core.errors import (
    FreshetError,
    LivenessError,
    PositionError,
    ServiceError,
    SettingError,
)

log = logging.getLogger(__name__)

EXIT_RESTART = 75  # EX_TEMPFAIL: start me again
EXIT_SETTING = 2  # starting again will not help
LAST_WORDS_S = 3.0

REASONS: Final = (
    "broker_gone", "bug", "frozen", "kafka", "killed", "memory", "position", "redis", "service",
    "setting", "stalled", "unknown",
)  # fmt: skip

Fail = Callable[[BaseException], NoReturn]


def reason_of(error: BaseException) -> str:
    """Return the word of `REASONS` for an error that ends a worker.

    >>> reason_of(ServiceError("redis", "Connection refused")), reason_of(ZeroDivisionError())
    ('redis', 'bug')
    """
    if isinstance(error, LivenessError):
        return error.reason
    if isinstance(error, PositionError):
        return "position"
    if isinstance(error, ServiceError):
        return error.service if error.service in REASONS else "service"
    if isinstance(error, SettingError):
        return "setting"
    return "service" if isinstance(error, FreshetError) else "bug"


class ExitCounts:
    """Why the workers of one supervisor ended, a line each, in a file that they share.

    The supervisor outlives its workers but has no port, and a worker has a port but no memory: so
    the dying one writes its reason here, and the next one exports the counts.

    Args:
        descriptor: an open file, at its end; None keeps nothing.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def note(self, reason: str) -> None:
        """Write one more line."""
        if self._descriptor is not None:
            os.write(self._descriptor, f"{reason}\n".encode())

    def read(self) -> Counter[str]:
        """Return how often each reason was written."""
        if self._descriptor is None:
            return Counter()
        size = os.fstat(self._descriptor).st_size
        return Counter(os.pread(self._descriptor, size, 0).decode().split())


class Ending:
    """Ends this process.

    Args:
        counts: where the reason is written.
        leave: ends the process with a code, without any clean-up.
    """

    def __init__(self, counts: ExitCounts, leave: Callable[[int], NoReturn] = os._exit) -> None:
        self._counts = counts
        self._leave = leave

    def note(self, error: BaseException) -> None:
        """Write down why this process is about to end."""
        self._counts.note(reason_of(error))

    def __call__(self, error: BaseException) -> NoReturn:
        """Say what happened and end the process at once, acknowledging nothing."""
        code = EXIT_SETTING if isinstance(error, SettingError) else EXIT_RESTART
        self.note(error)
        # A thread that is stuck may hold the lock of the log, and this one would wait for it.
        last_resort = threading.Timer(LAST_WORDS_S, self._leave, (code,))
        last_resort.daemon = True
        last_resort.start()
        try:
            if isinstance(error, FreshetError):
                log.error("%s", error)
            else:
                told = "".join(traceback.format_exception(error))
                log.error("a bug, please report it:\n%s", told)
            logging.shutdown()
            self._leave(code)
        finally:
            last_resort.cancel()
