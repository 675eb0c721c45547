"""How many requests may wait for an event (the read-your-writes token `after`) at a time.

Law: an event that never comes makes nobody wait but its own few requests. Beyond the limits a
request is answered at once with what there is, and `consistent` says that the event is not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MAX_WAITS: Final = 64
MAX_WAITS_OF_USER: Final = 4


class EventWaits:
    """Counts the requests that wait."""

    def __init__(self) -> None:
        self._by_user: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def wait(self, user_id: str) -> Iterator[bool]:
        """Say whether a request of a user may wait, and count it as long as the context lasts."""
        if self._total >= MAX_WAITS or self._by_user[user_id] >= MAX_WAITS_OF_USER:
            yield False
            return
        self._total += 1
        self._by_user[user_id] += 1
        try:
            yield True
        finally:
            self._total -= 1
            self._by_user[user_id] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]
