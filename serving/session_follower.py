"""Following the users that change, to know what people visit together.

Law: nobody waits for this, so it takes what there is time for: some users of many that change at
once, each as it is when it is read. Who was erased is gone before the next read, and is never read
back in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.metrics import SESSIONS_KNOWN, USERS_UNREAD
from freshet.core.state.client import AsyncClient
from freshet.core.state.keys import Keys
from freshet.core.state.readable import readable_users
from serving.change_follower import through_failures
from serving.item_state import ItemState
from serving.partitioned_hashes import WrongTypeError, chunks, fetch
from serving.source_weights import SourceWeights
from serving.user_sessions import SESSIONS_KEPT, UserSessions

READ_EVERY_S: Final = 0.05
AT_ONCE: Final = 50  # users that are taken in without a pause: some 0.5 ms
MOST_WAITING: Final = 500  # users who changed and are not yet read: they come in bursts


class SessionFollower:
    """Reads the records of users that changed into the sessions.

    Args:
        redis: a client.
        keys: names of the keys.
        partitions: of the users.
        items: must be loaded before users are: their visits need rows.
        sessions: what is known.
        sources: learn from what people visit after they have asked.
    """

    def __init__(
        self,
        redis: AsyncClient,
        keys: Keys,
        partitions: int,
        items: ItemState,
        sessions: UserSessions,
        sources: SourceWeights,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._partitions = partitions
        self._items = items
        self._sessions = sessions
        self._sources = sources
        self._changed: dict[str, None] = {}
        self._loaded = False
        self._forgotten = 0  # how often someone was forgotten

    def notify(self, user_ids: Collection[str]) -> None:
        """Remember to read users who changed, as many as there is time for."""
        new = [user_id for user_id in user_ids if user_id not in self._changed]
        room = MOST_WAITING - len(self._changed)
        self._changed.update(dict.fromkeys(new[:room]))
        USERS_UNREAD.inc(len(new[room:]))

    def notify_all(self) -> None:
        """Remember to read everyone: changes may have been missed."""
        self._loaded = False

    def forget(self, user_ids: Iterable[str]) -> None:
        """Forget people who were erased."""
        erased = set(user_ids)
        self._forgotten += 1
        self._sessions.forget(erased)
        self._sources.forget(erased)

    def forget_all(self) -> None:
        """Forget everyone: someone may have been erased."""
        self._forgotten += 1
        self._sessions.forget_all()
        self._sources.forget_all()
        self._loaded = False

    async def run(self) -> None:
        """Follow for ever, through failures of Redis."""
        await through_failures(self._follow, "sessions")

    async def _follow(self) -> None:
        while True:
            if self._items.following:
                if not self._loaded:
                    await self.load()
                await self.read_changed()
            SESSIONS_KNOWN.set(len(self._sessions.index))
            await asyncio.sleep(READ_EVERY_S)

    async def load(self) -> None:
        """Read users, as many as sessions are kept, and take them in by their newest event."""
        forgotten = self._forgotten
        found: dict[str, bytes] = {}  # one may be seen twice
        last_ts_ms: dict[str, int] = {}
        most = -(-SESSIONS_KEPT // self._partitions)
        for partition in range(self._partitions):
            before = len(found)
            try:
                async for fields in chunks(self._redis, self._keys.users(partition)):
                    found |= fields
                    users, _ = readable_users(list(fields.values()))
                    last_ts_ms |= zip(fields, users["last_ts_ms"].tolist(), strict=True)
                    if len(found) - before >= most:
                        break
            except WrongTypeError:  # it was reported
                continue
        oldest_first = sorted(found, key=last_ts_ms.__getitem__)
        for start in range(0, len(oldest_first), AT_ONCE):
            if forgotten != self._forgotten:  # some of what was read may have been erased
                return
            names = oldest_first[start : start + AT_ONCE]
            records, _ = readable_users([found[name] for name in names])  # a damaged one is empty
            self._sessions.put(names, records)
            await asyncio.sleep(0)
        self._loaded = True

    async def read_changed(self) -> None:
        """Read some of the users who changed since they were last read."""
        changed = list(islice(self._changed, AT_ONCE))
        if not changed:
            return
        for user_id in changed:
            del self._changed[user_id]
        forgotten = self._forgotten
        hashes = murmur2_many([user_id.encode() for user_id in changed])
        partitions = partition_of_hash(hashes, self._partitions).tolist()
        found = await fetch(self._redis, self._keys.users, changed, partitions)
        if forgotten != self._forgotten:
            self.notify(changed)  # to be read again: an erased one is then no more
            return
        names = [name for _, some, _ in found for name in some]
        records, _ = readable_users([blob for _, _, some in found for blob in some])
        self._sources.settle(names, records)
        self._sessions.put(names, records)
