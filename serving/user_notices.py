"""Who waits for a change of a user, and the waking of those who do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class UserNotices:
    """Wakes those who wait for the state of a user to change."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)

    @contextmanager
    def watch(self, user_id: str, on_change: Callable[[], None]) -> Iterator[None]:
        """Call a function whenever the user changed, as long as the context lasts."""
        self._waiting[user_id].add(on_change)
        try:
            yield
        finally:
            self._waiting[user_id].discard(on_change)
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    @contextmanager
    def subscribe(self, user_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the user changed; the taker clears it."""
        changed = asyncio.Event()
        with self.watch(user_id, changed.set):
            yield changed

    def notify(self, user_ids: Iterable[str]) -> None:
        """Wake those who wait for one of these users."""
        for user_id in user_ids:
            for on_change in tuple(self._waiting.get(user_id, ())):
                on_change()

    def notify_all(self) -> None:
        """Wake everyone: changes may have been missed."""
        self.notify(list(self._waiting))
