"""How far a log is from the order of time.

A log is judged by the fewest rows that would have to move for the rest to be in order: n minus the
longest non-decreasing subsequence (Fredman, 1975). One late row is one, whatever it skips; a clock
that was ahead once is one, although every later row is older; a reversed log is all but one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Final

FEW_SHARE: Final = 0.01
"""Rows out of order are real life up to this share; one row of ten or more always is."""


class TimeOrder:
    """Takes the times of a log, row by row.

    Attributes:
        first_line: of the first row that is older than a row before it, 0 = none.
        first_behind_ms: by how much.
        of_user: rows that are older than an earlier row of the same user.

    >>> order = TimeOrder()
    >>> for line, ts_ms in enumerate([5, 9, 6, 7, 8], 1):
    ...     order.add(line, "ann", ts_ms)
    >>> order.moved, order.first_line, order.of_user
    (1, 3, 3)
    """

    def __init__(self) -> None:
        self.first_line = 0
        self.first_behind_ms = 0
        self.of_user = 0
        self._rows = 0
        self._newest_ms = 0
        self._tails = array("q")  # the least last time of a sorted run of each length
        self._users: dict[str, int] = {}

    def add(self, line: int, user_id: str, ts_ms: int) -> None:
        """Take the next row."""
        self._rows += 1
        if ts_ms >= self._newest_ms:
            self._newest_ms = ts_ms
        elif not self.first_line:
            self.first_line, self.first_behind_ms = line, self._newest_ms - ts_ms
        newest_of_user = self._users.get(user_id, 0)
        if ts_ms >= newest_of_user:
            self._users[user_id] = ts_ms
        else:
            self.of_user += 1
        if not self._tails or ts_ms >= self._tails[-1]:
            self._tails.append(ts_ms)
        else:
            self._tails[bisect_right(self._tails, ts_ms)] = ts_ms

    @property
    def moved(self) -> int:
        """Return how many rows at least are out of order."""
        return self._rows - len(self._tails)

    @property
    def newest_ms(self) -> int:
        """Return the newest time, 0 when there was none."""
        return self._newest_ms


def are_many(wrong: int, rows: int) -> bool:
    """Return whether so many wrong rows say that the file as a whole is wrong.

    >>> are_many(0, 0), are_many(1, 3), are_many(1, 10), are_many(10, 1000), are_many(11, 1000)
    (False, True, False, False, True)
    """
    return wrong > FEW_SHARE * rows and not (wrong == 1 and rows >= 10)
