"""The last sessions of all users in bounded memory, and which of them an item occurs in.

Law: what is kept depends on the visits and their order alone. The oldest session goes first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Hashable
from typing import Final

import numpy as np
from numpy.typing import NDArray

SESSION_LENGTH: Final = 50  # distinct items; behind them a new session begins
SESSIONS_OF_ITEM: Final = 500  # the newest
SESSION_GAP_S: Final = 86_400.0  # without a visit; then a new session begins

_NOBODY: Final = -1

Numbers = NDArray[np.int64]
"""(n,) numbers of sessions, which they have in the order in which they begin."""


class SessionIndex:
    """What each user visited without a gap, as distinct items in the order of the first visit.

    Session number s stands in slot s modulo the capacity.

    Args:
        capacity: sessions that are kept, each in a slot of 50 items.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items = np.full((capacity, SESSION_LENGTH), -1, np.int32)
        self._lengths = np.zeros(capacity, np.int64)
        self._last_s = np.zeros(capacity)
        self._number = np.full(capacity, _NOBODY, np.int64)  # of the session in each slot
        self._owners: list[Hashable] = [None] * capacity
        self._open: dict[Hashable, int] = {}
        self._begun = 0
        self._of_item: defaultdict[int, deque[int]] = defaultdict(
            lambda: deque(maxlen=SESSIONS_OF_ITEM)
        )

    def __len__(self) -> int:
        """Return how many sessions are kept."""
        return int((self._number >= 0).sum())

    def visit(self, owner: Hashable, item: int, ts_s: float) -> None:
        """Continue or begin a session with a visit.

        Args:
            owner: who visited; the visits of one come in the order of time.
            item: row of the item.
            ts_s: when, s.
        """
        number = self._session(owner, ts_s)
        slot = number % self._capacity
        self._last_s[slot] = ts_s
        length = self._lengths[slot]
        if not (self._items[slot, :length] == item).any():
            self._items[slot, length] = item
            self._lengths[slot] = length + 1
            self._of_item[item].append(number)

    def knows(self, owner: Hashable) -> bool:
        """Return whether the newest session of someone is kept."""
        return owner in self._open

    def forget(self, owners: Container[Hashable]) -> None:
        """Drop all sessions of some people."""
        for slot, owner in enumerate(self._owners):
            if owner is not None and owner in owners:
                self._empty(slot)

    def of_item(self, item: int) -> Numbers:
        """Return the sessions that an item entered last, of those kept."""
        kept = self._of_item.get(item, ())
        found = np.fromiter(kept, np.int64, len(kept))
        return np.asarray(found[self._number[found % self._capacity] == found])

    def last_s(self, sessions: Numbers) -> NDArray[np.float64]:
        """Return the (n,) times of the last visits of sessions, s."""
        return self._last_s[sessions % self._capacity]

    def items(self, sessions: Numbers) -> NDArray[np.int32]:
        """Return the (n, length of the longest) items of sessions, -1 behind the end of each."""
        slots = sessions % self._capacity
        longest = self._lengths[slots].max(initial=0)
        return self._items[slots, :longest]

    def _session(self, owner: Hashable, ts_s: float) -> int:
        """Return the number of someone's open session, with room for an item."""
        number = self._open.get(owner)
        if number is not None:
            slot = number % self._capacity
            within_gap = ts_s - self._last_s[slot] <= SESSION_GAP_S
            if within_gap and self._lengths[slot] < SESSION_LENGTH:
                return number
        number, self._begun = self._begun, self._begun + 1
        slot = number % self._capacity
        self._empty(slot)
        self._number[slot], self._owners[slot] = number, owner
        self._open[owner] = number
        return number

    def _empty(self, slot: int) -> None:
        owner = self._owners[slot]
        if self._open.get(owner) == self._number[slot]:
            del self._open[owner]
        self._items[slot] = -1
        self._lengths[slot] = 0
        self._number[slot], self._owners[slot] = _NOBODY, None
