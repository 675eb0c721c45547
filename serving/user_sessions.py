"""What users visited together, as this process knows it: their records, cut into sessions.

Law: a record tells all visits since it was last read, as far as its history reaches, so it may be
read as seldom as one likes. What is known is a sample: of users who all change at once some are
read, and a start reads as many as are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import VISIT
from freshet.core.state.records import (
    HISTORY_LENGTH,
    Records,
    histories_newest_first,
    interactions,
)
from online_models.session_index import SessionIndex
from serving.item_table import ItemTable

SESSIONS_KEPT: Final = 50_000

Integers = NDArray[np.int64]


class UserSessions:
    """The sessions of the users whose records were read.

    Args:
        table: gives the rows of items; a visit to an item without a row is not kept.

    Attributes:
        index: the sessions, of rows of the table.
    """

    def __init__(self, table: ItemTable) -> None:
        self._table = table
        self._read: dict[str, int] = {}  # interactions of each user that were read
        self.index = SessionIndex(SESSIONS_KEPT)

    def put(self, user_ids: Sequence[str], records: Records) -> None:
        """Take what users have visited since their records were last read.

        Args:
            user_ids: (n,) distinct ids.
            records: (n,) of `USER_DTYPE`, as they are now.
        """
        total = interactions(records)
        find = self._read.get
        before = np.array([find(user_id, 0) for user_id in user_ids], np.int64)
        changed = np.flatnonzero(total != before)
        names = [user_ids[at] for at in changed.tolist()]
        total, before = total[changed], before[changed]
        self._read.update(zip(names, total.tolist(), strict=True))
        # Fewer than before is someone who was forgotten for idleness, and came back.
        new = np.where(total > before, total - before, total)
        by, hashes, ts_s = _visits(records[changed], new)
        rows = self._table.rows_of_hashes(hashes)
        known = rows >= 0
        self.index.visit_many(names, by[known], rows[known], ts_s[known])
        if len(self._read) > 2 * SESSIONS_KEPT:
            self._read = {
                user_id: total for user_id, total in self._read.items() if self.index.knows(user_id)
            }

    def forget(self, user_ids: Collection[str]) -> None:
        """Forget people who were erased."""
        self.index.forget(user_ids)
        for user_id in user_ids:
            self._read.pop(user_id, None)

    def forget_all(self) -> None:
        """Forget everyone."""
        self._read = {}
        self.index = SessionIndex(SESSIONS_KEPT)


def _visits(
    records: Records, new: Integers
) -> tuple[Integers, NDArray[np.uint32], NDArray[np.float64]]:
    """Return the visits among the newest interactions of users, of each in the order of time.

    Args:
        records: (n,) of `USER_DTYPE`.
        new: (n,) how many interactions of each are new; a history tells no more than its length.

    Returns:
        (v,) who visited, index into the records, the (v,) hashes of the items, and when, (v,) s.
    """
    history = histories_newest_first(records, min(int(new.max(initial=0)), HISTORY_LENGTH))
    back = np.arange(history.shape[1])
    visited = (back < new[:, None]) & VISIT[history["type"]]
    by, from_oldest = np.nonzero(visited[:, ::-1])
    visits = history[by, len(back) - 1 - from_oldest]
    return by, visits["item"], visits["ts_s"].astype(np.float64)
