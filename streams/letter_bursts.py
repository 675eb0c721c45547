"""One log line for a burst of dead letters, not one for each and not none.

Law: the line comes some seconds after the first letter and counts what came until then; while more
come, the lines become rarer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from freshet.core.events.dead_letter import DeadLetter

FIRST_S: Final = 10.0
LONGEST_S: Final = 600.0

log = logging.getLogger(__name__)

CallLater = Callable[[float, Callable[[], None]], Any]


class LetterBursts:
    """Counts letters and logs them by the burst.

    Args:
        call_later: calls a function after so many seconds; the running loop's when None.
    """

    def __init__(self, call_later: CallLater | None = None) -> None:
        self._call_later = call_later
        self._counts: Counter[str] = Counter()
        self._first: DeadLetter | None = None
        self._wait_s = FIRST_S
        self._timer: Any = None

    def note(self, letters: Sequence[DeadLetter]) -> None:
        """Count letters that were just written."""
        if not letters:
            return
        self._first = self._first or letters[0]
        self._counts.update(letter.reason for letter in letters)
        if self._timer is None:
            later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = later(self._wait_s, self._due)

    def report(self) -> None:
        """Log what has not been logged."""
        if self._first is None:
            return
        first, reasons = self._first, self._counts.most_common()
        log.warning(
            "%s records could not be applied and are dead letters now (%s); the first is at %s: "
            "%s: %s. `freshet dlq ls` lists them, `freshet dlq show %s` shows it",
            f"{self._counts.total():,}",
            ", ".join(f"{count:,} {reason}" for reason, count in reasons),
            first.origin,
            first.reason,
            first.detail,
            first.origin,
        )
        self._first = None
        self._counts.clear()

    def _due(self) -> None:
        """Report, and look again later: sooner or later a burst has ended."""
        self._timer = None
        if self._first is None:
            self._wait_s = FIRST_S
            return
        self.report()
        self._wait_s = min(self._wait_s * 2, LONGEST_S)
        later = self._call_later or asyncio.get_running_loop().call_later
        self._timer = later(self._wait_s, self._due)
