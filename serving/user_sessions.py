"""What users visited together, as this process knows it: their records, cut into sessions.

Law: a record tells all visits since it was last read, as far as its history reaches, so it may be
read as seldom as one likes. What is known is a sample: of users who all change at once some are
read, and a start reads as many as are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from freshet.core.events.schema import VISIT
from freshet.core.metrics import SESSIONS_KNOWN
from freshet.core.state.records import Records, history_newest_first, interactions
from online_models.session_index import SessionIndex
from serving.item_table import ItemTable

SESSIONS_KEPT: Final = 50_000


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
        for at, total in enumerate(interactions(records).tolist()):
            before = self._read.get(user_ids[at], 0)
            if total == before:
                continue
            # Fewer than before is someone who was forgotten for idleness, and came back.
            new = total - before if total > before else total
            self._read[user_ids[at]] = total
            self._visit(user_ids[at], history_newest_first(records[at])[:new][::-1])
        if len(self._read) > 2 * SESSIONS_KEPT:
            self._read = {
                user_id: total for user_id, total in self._read.items() if self.index.knows(user_id)
            }
        SESSIONS_KNOWN.set(len(self.index))

    def forget(self, user_ids: Collection[str]) -> None:
        """Forget people who were erased."""
        self.index.forget(user_ids)
        for user_id in user_ids:
            self._read.pop(user_id, None)

    def forget_all(self) -> None:
        """Forget everyone."""
        self._read = {}
        self.index = SessionIndex(SESSIONS_KEPT)

    def _visit(self, user_id: str, history: Records) -> None:
        visits = history[VISIT[history["type"]]]
        rows = self._table.rows_of_hashes(visits["item"])
        for row, ts_s in zip(rows.tolist(), visits["ts_s"].tolist(), strict=True):
            if row >= 0:
                self.index.visit(user_id, row, ts_s)
