"""When fetches keep a pace, and when each is answered at once.

Under load a broker answers when there is much, or after a wait: fetches of a few records would use
up the processor. Where fewer records come than there are waits in a second, a wait joins nothing:
then a fetch is answered by the first record, and an idle worker asks a few times a second only.
"""

from __future__ import annotations

from math import exp
from typing import Final

from freshet.core.settings import Settings

IDLE_WAIT_MS: Final = 500
"""How long a fetch waits for the first record; a request behind it on its connection waits too."""

_MEMORY_S: Final = 0.25


def idle_wait_ms(settings: Settings, *, embedded: bool) -> int:
    """Return how long a fetch waits for the first record.

    Args:
        settings: of the installation.
        embedded: whether the broker is librdkafka's in-process one. It lets a fetch wait until the
            end whatever comes meanwhile, so that the wait would be a delay.

    >>> idle_wait_ms(Settings(), embedded=False), idle_wait_ms(Settings(), embedded=True)
    (500, 5)
    """
    return settings.fetch_wait_ms if embedded else IDLE_WAIT_MS


class Pace:
    """Judges by the records of the last moment whether fetches should keep a pace.

    Args:
        wait_ms: of a fetch that keeps it.
    """

    def __init__(self, wait_ms: float) -> None:
        self._least = _MEMORY_S * 1000 / wait_ms
        self._records = 0.0
        self._at_s = 0.0

    def is_kept(self, records: int, now_s: float) -> bool:
        """Return whether to keep a pace from now on.

        Args:
            records: what came with a fetch.
            now_s: of a clock that never goes back.

        >>> pace = Pace(wait_ms=5)
        >>> [pace.is_kept(40, step / 100) for step in (0, 1)], pace.is_kept(0, 1.0)
        ([False, True], False)
        """
        self._records = self._records * exp((self._at_s - now_s) / _MEMORY_S) + records
        self._at_s = now_s
        return self._records >= self._least
