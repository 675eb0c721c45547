"""The sessions of a log in bounded memory, and which of them an item occurs in."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.contestant import Unlearned
from replay.evaluate.request import Rows

SESSION_LENGTH: Final = 50  # distinct items; behind them a new session begins
SESSIONS_KEPT: Final = 100_000  # of all users; the oldest go first
SESSIONS_OF_ITEM: Final = 500  # the newest


class Sessions:
    """What a user visited without a gap, as distinct items in the order of the first visit.

    Sessions are numbered in the order in which they begin; number s stands in slot s modulo the
    capacity.
    """

    def __init__(self, log: TrainingLog, gap_s: float) -> None:
        capacity = min(SESSIONS_KEPT, len(log))
        self._log = log
        self._unlearned = Unlearned(log)
        self._gap_ms = gap_s * 1000
        self._items = np.full((capacity, SESSION_LENGTH), -1, np.int32)
        self._lengths = np.zeros(capacity, np.int64)
        self._last_ms = np.zeros(capacity, np.int64)
        self._begun = 0
        self._open: dict[int, int] = {}
        self._of_item: defaultdict[int, deque[int]] = defaultdict(
            lambda: deque(maxlen=SESSIONS_OF_ITEM)
        )

    def learn(self, end: int) -> None:
        """Continue or begin the sessions of the visits before `end`."""
        log, visits = self._log, self._unlearned.until(end)
        columns = log.user[visits].tolist(), log.item[visits].tolist(), log.ts_ms[visits].tolist()
        for user, item, ts_ms in zip(*columns, strict=True):
            session = self._session(user, ts_ms)
            slot = session % len(self._items)
            self._last_ms[slot] = ts_ms
            if not (self._items[slot] == item).any():
                self._items[slot, self._lengths[slot]] = item
                self._lengths[slot] += 1
                self._of_item[item].append(session)

    def of_item(self, item: int) -> Rows:
        """Return the (n,) numbers of the last sessions with an item, of those kept."""
        found = np.array(self._of_item.get(item, ()), np.int64)
        return found[found >= self._begun - len(self._items)]

    def last_ms(self, sessions: Rows) -> NDArray[np.int64]:
        """Return the (n,) event times of the last visits of sessions."""
        return self._last_ms[sessions % len(self._items)]

    def items(self, sessions: Rows) -> NDArray[np.int32]:
        """Return the (n, SESSION_LENGTH) items of sessions, -1 behind the end."""
        return self._items[sessions % len(self._items)]

    def _session(self, user: int, ts_ms: int) -> int:
        """Return the number of the user's open session, with room for an item."""
        session = self._open.get(user, -1)
        slot = session % len(self._items)
        if (
            session >= max(self._begun - len(self._items), 0)
            and ts_ms - self._last_ms[slot] <= self._gap_ms
            and self._lengths[slot] < SESSION_LENGTH
        ):
            return session
        session = self._open[user] = self._begun
        slot = session % len(self._items)
        self._items[slot] = -1
        self._lengths[slot] = 0
        self._begun += 1
        return session
