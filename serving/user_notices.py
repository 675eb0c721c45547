"""Who waits for a change of a user, and the waking of those who do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserNotices:
    """Wakes those who wait for the state of a user to change."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def subscribe(self, user_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the user changed; the taker clears it."""
        changed = asyncio.Event()
        self._waiting[user_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[user_id].discard(changed)
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    def notify(self, user_ids: Iterable[str]) -> None:
        """Wake those who wait for one of these users."""
        for user_id in user_ids:
            for changed in self._waiting.get(user_id, ()):
                changed.set()

    def notify_all(self) -> None:
        """Wake everyone: changes may have been missed."""
        self.notify(list(self._waiting))
