"""Following the change streams: item state into the table, user changes to those who want them.

Law: what is read is the record itself, never a difference, so a change may be told twice, late or
together with others. An item that changes a hundred times between two ticks is fetched once. When
the streams may have told something that was missed, everything is loaded again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
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
from serving.partitioned_hashes import chunks, fetch

TICK_S: Final = 0.025  # between two reads: what changes meanwhile is fetched once
BLOCK_MS: Final = 1_000
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


class UserListener(Protocol):
    """What is told that people changed."""

    def notify(self, user_ids: Collection[str]) -> None:
        """Tell that some people changed."""

    def notify_all(self) -> None:
        """Tell that anyone may have changed."""


class UserMemory(Protocol):
    """What remembers people, and must forget those who are erased."""

    def forget(self, user_ids: Iterable[str]) -> None:
        """Forget some people."""

    def forget_all(self) -> None:
        """Forget everyone."""


class UserFollower:
    """Tells which users changed, and who was erased.

    Args:
        redis: as `ChangeStreams` takes it.
        keys: names of the keys.
        partitions: of the users.
        listeners: told of changes.
        memories: forget the erased; everyone, when an erasure may have been missed.
    """

    def __init__(
        self,
        redis: AsyncClient,
        keys: Keys,
        partitions: int,
        listeners: Sequence[UserListener],
        memories: Sequence[UserMemory],
    ) -> None:
        self._streams = ChangeStreams(
            redis, [keys.user_changes(partition) for partition in range(partitions)]
        )
        self._listeners = listeners
        self._memories = memories

    async def run(self) -> None:
        """Follow for ever, through failures of Redis."""
        await through_failures(self._follow, "users")

    async def _follow(self) -> None:
        try:
            await self._streams.start()
            self._forget_all()
            for listener in self._listeners:
                listener.notify_all()
            while True:
                entries, missed = await self._streams.read()
                if missed:
                    self._forget_all()
                self._tell(entries)
        finally:
            self._streams.stop()

    def _forget_all(self) -> None:
        for memory in self._memories:
            memory.forget_all()

    def _tell(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if b"erased" in entry:
                erased = _DECODE(entry[b"erased"], type=list[str])
                for memory in self._memories:
                    memory.forget(erased)
            changed = _DECODE(entry[b"users"], type=list[str])
            for listener in self._listeners:
                listener.notify(changed)


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
        await through_failures(self.follow, "items")

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
            async for fields in chunks(self._redis, self._keys.items(partition)):
                self._put_records([name.decode() for name in fields], list(fields.values()))
            async for fields in chunks(self._redis, self._keys.covisits(partition)):
                self._table.put_covisits(map(int, fields), fields.values())
            async for fields in chunks(self._redis, self._keys.catalog(partition)):
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
        for ids, blobs in await self._fetch(self._keys.items, item_ids, item_hashes(item_ids)):
            self._put_records(ids, blobs)

    async def _take_covisits(self, hashes: list[int]) -> None:
        names = [str(value) for value in hashes]
        owners = np.array(hashes, np.uint32)
        for found, blobs in await self._fetch(self._keys.covisits, names, owners):
            self._table.put_covisits(map(int, found), blobs)

    async def _take_catalog(self, item_ids: list[str]) -> None:
        for ids, blobs in await self._fetch(self._keys.catalog, item_ids, item_hashes(item_ids)):
            gone = [item_id for item_id, blob in zip(ids, blobs, strict=True) if blob is None]
            self._table.withdraw(gone)
            self._table.offer(_items(blob for blob in blobs if blob is not None))
        if item_ids:
            self._items.refresh()

    def _put_records(self, item_ids: list[str], blobs: Sequence[bytes | None]) -> None:
        self._table.put_records(item_ids, unpack_items(blobs))

    async def _fetch(
        self, key_of: Callable[[int], str], names: Sequence[str], hashes: NDArray[np.uint32]
    ) -> list[tuple[list[str], list[bytes | None]]]:
        """Return (names, values) of fields of items with these hashes, partition by partition."""
        partitions = partition_of_hash(hashes, self._partitions).tolist()
        return await fetch(self._redis, key_of, names, partitions)


async def through_failures(follow: Callable[[], Awaitable[None]], what: str) -> None:
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


def _items(blobs: Iterable[bytes]) -> list[Item]:
    """Return the catalogue entries that can be read."""
    items = []
    for blob in blobs:
        try:
            items.append(decode_item(blob))
        except EventError as error:
            log.error("a catalogue entry in Redis is not one: %s", error)
    return items
