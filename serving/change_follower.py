"""Following the change streams: item state into the table, user changes to those who wait.

Law: what is read is the record itself, never a difference, so a change may be told twice, late or
together with others. An item that changes a hundred times between two ticks is fetched once. When
the streams may have told something that was missed, everything is loaded again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_item
from freshet.core.events.partition import item_hashes, partition_of_hash
from freshet.core.events.schema import Item
from freshet.core.metrics import FOLLOWER_RELOADS
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, by_slot, together
from freshet.core.state.keys import CHANGES_KEPT, Keys
from freshet.core.state.records import unpack_items
from serving.item_state import ItemState
from serving.user_notices import UserNotices

TICK_S: Final = 0.025  # between two reads: what changes meanwhile is fetched once
BLOCK_MS: Final = 1_000
CHUNK: Final = 1_000  # records in one read
RETRY_S: Final = 0.5

log = logging.getLogger(__name__)

Entry = dict[bytes, bytes]
_DECODE = msgspec.msgpack.decode


class ChangeStreams:
    """Some change streams and the position in each.

    A command can wait for the streams of one slot only, so on a cluster there are several reads
    under way at a time.

    Args:
        redis: a client whose socket timeout is above `BLOCK_MS`.
        keys: the STREAMs.
    """

    def __init__(self, redis: AsyncClient, keys: Sequence[str]) -> None:
        self._redis: Any = redis
        self._keys = keys
        self._positions: dict[str, bytes | str] = {}
        self._idle: list[list[str]] = []  # groups that no read waits for
        self._reads: dict[asyncio.Task[Any], list[str]] = {}

    async def start(self) -> None:
        """Stand at the end of each stream."""
        self.stop()
        commands = [("XREVRANGE", key, "+", "-", "COUNT", 1) for key in self._keys]
        newest = await together(self._redis, commands)
        self._positions = {
            key: found[0][0] if found else "0-0"
            for key, found in zip(self._keys, newest, strict=True)
        }
        self._idle = by_slot(self._redis, self._keys)

    def stop(self) -> None:
        """Give up the reads that are under way."""
        for task in self._reads:
            task.cancel()
            task.add_done_callback(_forget)
        self._reads.clear()

    async def read(self) -> tuple[list[Entry], bool]:
        """Wait at most `BLOCK_MS` for entries.

        Returns:
            The new entries, and whether some may have been missed: a stream keeps at least
            `CHANGES_KEPT` entries, so fewer than that are certainly all there were.
        """
        # Not before now: what came since the last read is then in this one.
        for group in self._idle:
            positions = {key: self._positions[key] for key in group}
            read = self._redis.xread(positions, block=BLOCK_MS)
            self._reads[asyncio.create_task(read)] = group
        self._idle = []
        done, _ = await asyncio.wait(self._reads, return_when=asyncio.FIRST_COMPLETED)
        entries: list[Entry] = []
        missed = False
        for task in done:
            found = cast(list[tuple[bytes, list[tuple[bytes, Entry]]]], await task or [])
            self._idle.append(self._reads.pop(task))
            for key, new in found:
                self._positions[key.decode()] = new[-1][0]
                entries.extend(fields for _, fields in new)
                missed |= len(new) >= CHANGES_KEPT
        return entries, missed


class UserMemory(Protocol):
    """What remembers people, and must forget those who are erased."""

    def forget(self, user_ids: Iterable[str]) -> None:
        """Forget some people."""

    def forget_all(self) -> None:
        """Forget everyone."""


class UserFollower:
    """Tells those who wait for a user that the user changed, and who was erased.

    Args:
        redis: as `ChangeStreams` takes it.
        keys: names of the keys.
        partitions: of the users.
        notices: wakes who waits for a user.
        memory: forgets the erased; everyone, when an erasure may have been missed.
    """

    def __init__(
        self,
        redis: AsyncClient,
        keys: Keys,
        partitions: int,
        notices: UserNotices,
        memory: UserMemory,
    ) -> None:
        self._streams = ChangeStreams(
            redis, [keys.user_changes(partition) for partition in range(partitions)]
        )
        self._notices = notices
        self._memory = memory

    async def run(self) -> None:
        """Follow for ever, through failures of Redis."""
        await _through_failures(self._follow, "users")

    async def _follow(self) -> None:
        try:
            await self._streams.start()
            self._memory.forget_all()
            self._notices.notify_all()
            while True:
                entries, missed = await self._streams.read()
                if missed:
                    self._memory.forget_all()
                for entry in entries:
                    if b"erased" in entry:
                        self._memory.forget(_DECODE(entry[b"erased"], type=list[str]))
                    self._notices.notify(_DECODE(entry[b"users"], type=list[str]))
        finally:
            self._streams.stop()


class ItemFollower:
    """Keeps the item table up to date."""

    def __init__(self, redis: AsyncClient, keys: Keys, partitions: int, items: ItemState) -> None:
        self._redis = redis
        self._keys = keys
        self._partitions = partitions
        self._items = items
        self._table = items.table
        self._streams = ChangeStreams(
            redis, [keys.item_changes(partition) for partition in range(partitions)]
        )

    async def run(self) -> None:
        """Follow for ever, through failures of Redis."""
        await _through_failures(self.follow, "items")

    async def follow(self) -> None:
        """Load everything, then follow; ends with the error that Redis ends it with."""
        try:
            await self.load("start" if not self._table.size else "reconnect")
            while True:
                await self.tick()
                await asyncio.sleep(TICK_S)
        finally:
            self._items.following = False
            self._streams.stop()

    async def load(self, reason: str) -> None:
        """Load all item state; positions first, so that what changes meanwhile is read again."""
        FOLLOWER_RELOADS.labels(reason).inc()
        await self._streams.start()
        offered: set[str] = set()
        for partition in range(self._partitions):
            async for fields in self._chunks(self._keys.items(partition)):
                self._put_records([name.decode() for name in fields], list(fields.values()))
            async for fields in self._chunks(self._keys.covisits(partition)):
                self._table.put_covisits(map(int, fields), fields.values())
            async for fields in self._chunks(self._keys.catalog(partition)):
                items = _items(fields.values())
                self._table.offer(items)
                offered.update(item.item_id for item in items)
        self._table.withdraw(self._table.offered_ids() - offered)
        self._items.refresh()
        gc.freeze()  # the catalogue lives until the end: a collection need not walk it again
        self._items.following = True

    async def tick(self) -> None:
        """Wait for changes and take them in; load everything when some may have been missed."""
        entries, missed = await self._streams.read()
        if missed:
            await self.load("gap")
            return
        await self._take_records(_distinct(entries, b"items"))
        await self._take_covisits(_distinct(entries, b"covisits"))
        await self._take_catalog(_distinct(entries, b"catalog"))

    # --- taking in what changed ---

    async def _take_records(self, item_ids: list[str]) -> None:
        for ids, blobs in await self._fetch(self._keys.items, item_ids, item_ids):
            self._put_records(ids, blobs)

    async def _take_covisits(self, hashes: list[int]) -> None:
        names = [str(value) for value in hashes]
        for found, blobs in await self._fetch(self._keys.covisits, names, None):
            self._table.put_covisits(map(int, found), blobs)

    async def _take_catalog(self, item_ids: list[str]) -> None:
        for ids, blobs in await self._fetch(self._keys.catalog, item_ids, item_ids):
            gone = [item_id for item_id, blob in zip(ids, blobs, strict=True) if blob is None]
            self._table.withdraw(gone)
            self._table.offer(_items(blob for blob in blobs if blob is not None))
        if item_ids:
            self._items.refresh()

    def _put_records(self, item_ids: list[str], blobs: Sequence[bytes | None]) -> None:
        self._table.put_records(item_ids, unpack_items(blobs))

    # --- reading Redis ---

    async def _fetch(
        self, key_of: Callable[[int], str], names: list[str], item_ids: list[str] | None
    ) -> list[tuple[list[str], list[bytes | None]]]:
        """Return (names, values) of fields, partition by partition, in one round trip.

        Args:
            key_of: the HASH of a partition.
            names: the fields.
            item_ids: the items of the fields; None when the names are hashes of items.
        """
        if not names:
            return []
        hashes = item_hashes(item_ids) if item_ids is not None else _as_hashes(names)
        partitions = partition_of_hash(hashes, self._partitions).tolist()
        by_partition: dict[int, list[str]] = {}
        for name, partition in zip(names, partitions, strict=True):
            by_partition.setdefault(partition, []).append(name)
        commands = [
            ("HMGET", key_of(partition), *fields) for partition, fields in by_partition.items()
        ]
        answers = await together(self._redis, commands)
        return list(zip(by_partition.values(), answers, strict=True))

    async def _chunks(self, key: str) -> AsyncIterator[dict[bytes, bytes]]:
        """Yield dicts of fields of a HASH until all were seen; one may be seen twice."""
        cursor = 0
        while True:
            cursor, fields = await self._redis.hscan(key, cursor, count=CHUNK)
            if fields:
                yield cast(dict[bytes, bytes], fields)
            if cursor == 0:
                return


async def _through_failures(follow: Callable[[], Awaitable[None]], what: str) -> None:
    """Run `follow` again whenever Redis ends it."""
    while True:
        try:
            await follow()
        except CLIENT_ERRORS as error:
            log.warning("changes of %s are not followed: %s", what, error)
        await asyncio.sleep(RETRY_S)


def _forget(read: asyncio.Task[Any]) -> None:
    """Look at how a read ended that nobody waits for: asyncio complains when no one does."""
    if not read.cancelled():
        read.exception()


def _distinct(entries: Iterable[Entry], field: bytes) -> list[Any]:
    """Return the ids that the entries name in one field, each once."""
    named: dict[Any, None] = {}
    for entry in entries:
        if field in entry:
            named.update(dict.fromkeys(_DECODE(entry[field])))
    return list(named)


def _as_hashes(names: Iterable[str]) -> NDArray[np.uint32]:
    return np.array([int(name) for name in names], np.uint32)


def _items(blobs: Iterable[bytes]) -> list[Item]:
    """Return the catalogue entries that can be read."""
    items = []
    for blob in blobs:
        try:
            items.append(decode_item(blob))
        except EventError as error:
            log.error("a catalogue entry in Redis is not one: %s", error)
    return items
