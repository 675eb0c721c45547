"""The last sessions of all users in bounded memory, and which of them an item occurs in.

Law: what is kept depends on the visits and their order alone. The oldest session goes first. Each
item of a session is an entry in the doubly linked list of that item, newest first: whatever enters
or leaves is a step or two for each entry, however many there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, rows_of

SESSION_LENGTH: Final = 50  # distinct items; behind them a new session begins
SESSIONS_OF_ITEM: Final = 500  # the newest
SESSION_GAP_S: Final = 86_400.0  # without a visit; then a new session begins

_NOBODY: Final = -1  # number of a session that is not kept
_END: Final = -1  # of a list

SESSION_DTYPE: Final = np.dtype(
    [
        ("number", "<i8"),  # sessions are numbered as they begin, from 0
        ("before", "<i8"),  # number of the same owner's session before it
        ("last_s", "<f8"),  # time of the last visit
        ("length", "<i8"),  # items
    ]
)
"""A session, besides its items: a query looks at some thousand of these and at few items."""

Rows = NDArray[np.int64]
Slots = NDArray[np.int64]
Entries = NDArray[np.int32]
"""Entry slot * SESSION_LENGTH + place is the item at that place of the session in that slot."""


class SessionIndex:
    """What each user visited without a gap, as distinct items in the order of the first visit.

    Args:
        capacity: sessions that are kept, each in a slot of some 630 bytes.

    Attributes:
        sessions: (capacity,) of `SESSION_DTYPE`; number n stands in slot n modulo the capacity.
        items: (capacity, SESSION_LENGTH) of the session in each slot, in the order of their first
            visits, -1 behind them.
    """

    def __init__(self, capacity: int) -> None:
        self.sessions = np.zeros(capacity, SESSION_DTYPE)
        self.sessions["number"] = _NOBODY
        self.items = np.full((capacity, SESSION_LENGTH), -1, np.int32)
        self._older = np.full(self.items.size, _END, np.int32)  # entry of the same item
        self._newer = np.full(self.items.size, _END, np.int32)
        self._newest = np.full(1024, _END, np.int32)  # entry of each item
        self._owners: list[Hashable] = [None] * capacity  # of the session in each slot
        self._open: dict[Hashable, int] = {}  # number of each owner's newest session
        self._begun = 0
        self._kept = 0

    def __len__(self) -> int:
        """Return how many sessions are kept."""
        return self._kept

    def visit(self, owner: Hashable, item: int, ts_s: float) -> None:
        """Continue or begin a session with a visit; see `visit_many`."""
        self.visit_many([owner], np.zeros(1, np.int64), np.array([item]), np.array([ts_s], float))

    def visit_many(
        self, owners: Sequence[Hashable], by: Rows, items: Rows, ts_s: NDArray[np.float64]
    ) -> None:
        """Continue or begin sessions with visits, one after the other.

        Args:
            owners: distinct.
            by: (n,) who visited, index into `owners`; the visits of one come in the order of time.
            items: (n,) rows of the items.
            ts_s: (n,) when, s.
        """
        self._make_room(items)
        numbers = [self._open.get(owner, _NOBODY) for owner in owners]
        begun = _visit(*self._arrays(), np.array(numbers, np.int64), by, items, ts_s, self._begun)
        for at in begun.tolist():
            self._own(owners[at])

    def knows(self, owner: Hashable) -> bool:
        """Return whether the newest session of someone is kept."""
        return owner in self._open

    def forget(self, owners: Iterable[Hashable]) -> None:
        """Drop all sessions of some people."""
        for owner in owners:
            number = self._open.pop(owner, _NOBODY)
            while number != _NOBODY:
                slot = number % len(self.sessions)
                if self.sessions["number"][slot] != number:
                    break  # it has left, and those before it too
                number = int(self.sessions["before"][slot])
                _empty(*self._arrays(), slot)
                self._owners[slot] = None
                self._kept -= 1

    def of_items(self, items: Rows) -> tuple[Slots, Rows]:
        """Return the sessions that some items entered last, `SESSIONS_OF_ITEM` of each at most.

        Args:
            items: (q,) rows.

        Returns:
            (n,) their slots, of each item the newest entry first, and the (n,) items, as indices
            into `items`.
        """
        return _entered(self._older, self._newest, items, SESSIONS_OF_ITEM)

    def _arrays(self) -> tuple[NDArray[Any], Entries, Entries, Entries, Entries]:
        return self.sessions, self.items, self._older, self._newer, self._newest

    def _make_room(self, items: Rows) -> None:
        needed = int(items.max(initial=-1)) + 1
        if needed > len(self._newest):
            newest = np.full(max(needed, 2 * len(self._newest)), _END, np.int32)
            newest[: len(self._newest)] = self._newest
            self._newest = newest

    def _own(self, owner: Hashable) -> None:
        """Note who owns the session that began next, in place of the oldest one."""
        number, self._begun = self._begun, self._begun + 1
        slot = number % len(self.sessions)
        gone = self._owners[slot]
        if gone is None:
            self._kept += 1
        elif self._open[gone] == number - len(self.sessions):
            del self._open[gone]
        self._owners[slot] = owner
        self._open[owner] = number


_ARRAYS = (
    rows_of(SESSION_DTYPE), rows_of("i4", dimensions=2), rows_of("i4"), rows_of("i4"),
    rows_of("i4"),
)  # fmt: skip


@compiled(*_ARRAYS, numba.int64)
def _empty(
    sessions: Any, items: Any, older: Entries, newer: Entries, newest: Entries, slot: int
) -> None:
    """Take a session out of the lists of its items, and out of its slot."""
    session = sessions[slot]
    for place in range(session.length):
        entry = slot * SESSION_LENGTH + place
        if newer[entry] == _END:
            newest[items[slot, place]] = older[entry]
        else:
            older[newer[entry]] = older[entry]
        if older[entry] != _END:
            newer[older[entry]] = newer[entry]
        items[slot, place] = -1
    session.length = 0
    session.number = _NOBODY


@compiled(*_ARRAYS, numba.int64, numba.int64)
def _enter(
    sessions: Any, items: Any, older: Entries, newer: Entries, newest: Entries, slot: int, item: int
) -> None:
    """Put an item into a session that has room, unless it is there."""
    place = sessions[slot].length
    for held in items[slot, :place]:
        if held == item:
            return
    entry = slot * SESSION_LENGTH + place
    older[entry], newer[entry] = newest[item], _END
    if older[entry] != _END:
        newer[older[entry]] = entry
    newest[item] = entry
    items[slot, place] = item
    sessions[slot].length = place + 1


@compiled(
    *_ARRAYS, rows_of("i8"), rows_of("i8"), rows_of("i8"), rows_of("f8"), numba.int64
)  # fmt: skip
def _visit(
    sessions: Any,
    items: Any,
    older: Entries,
    newer: Entries,
    newest: Entries,
    numbers: Rows,
    by: Rows,
    visited: Rows,
    ts_s: NDArray[np.float64],
    next_number: int,
) -> Rows:
    """Take in visits; return whose sessions began, in the order of their numbers.

    `numbers` are those of the owners' newest sessions, and are changed.
    """
    begun = np.empty(len(by), np.int64)
    n_begun = 0
    for at in range(len(by)):
        number = numbers[by[at]]
        slot = number % len(sessions)
        session = sessions[slot]
        goes_on = (
            number != _NOBODY
            and session.number == number  # else it was the oldest, and has left
            and ts_s[at] - session.last_s <= SESSION_GAP_S
            and session.length < SESSION_LENGTH
        )
        if not goes_on:
            before, number = number, next_number + n_begun
            slot = number % len(sessions)
            _empty(sessions, items, older, newer, newest, slot)
            session = sessions[slot]
            session.number, session.before = number, before
            numbers[by[at]] = number
            begun[n_begun] = by[at]
            n_begun += 1
        session.last_s = ts_s[at]
        _enter(sessions, items, older, newer, newest, slot, visited[at])
    return begun[:n_begun]


@compiled(rows_of("i4"), rows_of("i4"), rows_of("i8"), numba.int64)
def _entered(older: Entries, newest: Entries, items: Rows, most: int) -> tuple[Slots, Rows]:
    """Walk the lists of some items, as far as `most` entries of each; see `of_items`.

    Side by side: a step waits for memory, and those of other items need not wait for it.
    """
    slots = np.empty(most * len(items), np.int64)
    of = np.empty(most * len(items), np.int64)
    entries = np.empty(len(items), np.int32)
    for at in range(len(items)):
        entries[at] = newest[items[at]] if items[at] < len(newest) else _END
    n = 0
    for _ in range(most):
        for at in range(len(items)):
            if entries[at] != _END:
                slots[n] = entries[at] // SESSION_LENGTH
                of[n] = at
                entries[at] = older[entries[at]]
                n += 1
    return slots[:n], of[:n]
