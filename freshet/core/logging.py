"""Logs of a process: one line per fact, and a cap on how often the same fact is repeated."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from freshet.core.secrets import mask_urls

REPEAT_INTERVAL_S = 10.0
CHATTY_LIBRARIES = (
    "abc",
    "aiokafka",
    "faust",
    "freshet.core.events.producer",  # a line of librdkafka for every broken connection
    "httpx",
    "mode",
    "streams.app",  # what Faust says in the name of its subclass
)


class MaskingFormatter(logging.Formatter):
    """Writes a line, and what was raised, without the passwords of URLs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = super().format(record)
        return mask_urls(line) if "@" in line else line


class RepeatFilter(logging.Filter):
    """Lets one line per logger and message template through per interval.

    A client whose broker is away logs tens of lines a second; the count of the lines held back
    is added to the next one that passes.
    """

    def __init__(
        self, interval_s: float = REPEAT_INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.interval_s = interval_s
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line passes."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, str(record.msg)[:120])
        now = self._clock()
        last, held = self._seen.get(key, (-self.interval_s, 0))
        if now - last < self.interval_s:
            self._seen[key] = (last, held + 1)
            return False
        if held:
            record.msg = f"{record.msg} (and {held} more like it)"
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (now, 0)
        return True


def configure_logging(process: str, level: str = "INFO") -> None:
    """Send this process' log to standard error, each line naming the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        MaskingFormatter(f"%(asctime)s {process} %(levelname)s %(name)s: %(message)s")
    )
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        for library in CHATTY_LIBRARIES:
            logging.getLogger(library).setLevel(logging.WARNING)
