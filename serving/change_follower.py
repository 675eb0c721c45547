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

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from freshet.core.clock import Clock, system_clock
from freshet.core.events.partition import item_hashes, partition_of_hash
from freshet.core.metrics import FOLLOWER_RELOADS
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, by_slot, together
from freshet.core.state.keys import CHANGES_KEPT, CHANGES_KEPT_S, Keys
from freshet.core.state.readable import is_wrong_type, report_unreadable
from serving.change_entries import (
    DamagedEntryError,
    Entry,
    catalogue_items,
    item_records,
    named,
    require_known,
    transitions,
)
from serving.item_state import ItemState
from serving.partitioned_hashes import WrongTypeError, chunks, fetch, last_word

TICK_S: Final = 0.025  # between two reads: what changes meanwhile is fetched once
BLOCK_MS: Final = 1_000
RETRY_S: Final = 0.5
LOOK_AGAIN_S: Final = 1.0  # at streams whose key holds another type

log = logging.getLogger(__name__)


class ChangeStreams:
    """Some change streams and the position in each.

    A command can wait for the streams of one slot only, so on a cluster there are several reads
    under way at a time. A key that holds another type is left out until it is a stream again.

    Args:
        redis: a client whose socket timeout is above `BLOCK_MS`.
        keys: the STREAMs.
        clock: the wall clock, which goes on while the process or the machine does not.
    """

    def __init__(
        self, redis: AsyncClient, keys: Sequence[str], clock: Clock = system_clock
    ) -> None:
        self._redis: Any = redis
        self._clock = clock
        self._read_ms = 0
        self._keys = keys
        self._positions: dict[str, bytes | str] = {}
        self._idle: list[list[str]] = []  # groups that no read waits for
        self._reads: dict[asyncio.Task[Any], list[str]] = {}
        self._unreadable: list[str] = []
        self._look_again_at = 0.0

    @property
    def complete(self) -> bool:
        """Whether every stream is followed, and nothing else is awaited."""
        return not self._unreadable

    def await_mended(self, key: str) -> None:
        """Report a gap once a HASH, whose key holds another type, is one or gone."""
        self._unreadable.append(key)

    async def start(self) -> None:
        """Stand at the end of each stream."""
        self.stop()
        commands = [("XREVRANGE", key, "+", "-", "COUNT", 1) for key in self._keys]
        newest = await together(self._redis, commands, raise_errors=False)
        self._positions, self._unreadable = {}, []
        for key, found in zip(self._keys, newest, strict=True):
            if not isinstance(found, ResponseError):
                self._positions[key] = found[0][0] if found else "0-0"
            elif is_wrong_type(found):
                report_unreadable("changes", key, why=str(found))
                self._unreadable.append(key)
            else:
                raise found
        self._look_again_at = asyncio.get_running_loop().time() + LOOK_AGAIN_S
        self._idle = by_slot(self._redis, list(self._positions))
        self._read_ms = self._clock()

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
            `CHANGES_KEPT` entries for `CHANGES_KEPT_S`, so fewer than that, soon enough, are
            certainly all there were.
        """
        if self._unreadable and await self._mended():
            return [], True
        if not self._positions:
            await asyncio.sleep(LOOK_AGAIN_S)
            return [], False
        # Not before now: what came since the last read is then in this one.
        for group in self._idle:
            positions = {key: self._positions[key] for key in group}
            read = self._redis.xread(positions, block=BLOCK_MS)
            self._reads[asyncio.create_task(read)] = group
        self._idle = []
        done, _ = await asyncio.wait(self._reads, return_when=asyncio.FIRST_COMPLETED)
        entries: list[Entry] = []
        missed = self._was_away()
        for task in done:
            found = cast(list[tuple[bytes, list[tuple[bytes, Entry]]]], await task or [])
            self._idle.append(self._reads.pop(task))
            for key, new in found:
                self._positions[key.decode()] = new[-1][0]
                entries.extend(fields for _, fields in new)
                missed |= len(new) >= CHANGES_KEPT
        return entries, missed

    def _was_away(self) -> bool:
        """Return whether the last read was so long ago that entries may have expired since."""
        before_ms, self._read_ms = self._read_ms, self._clock()
        return self._read_ms - before_ms > 1000 * CHANGES_KEPT_S // 2

    async def _mended(self) -> bool:
        """Return whether a key of another type is mended, looking now and then."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._look_again_at:
            return False
        self._look_again_at = now_s + LOOK_AGAIN_S
        types = await together(self._redis, [("TYPE", key) for key in self._unreadable])
        return any(
            kind in (b"none", b"stream" if last_word(key) == "changes" else b"hash")
            for key, kind in zip(self._unreadable, types, strict=True)
        )


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
            await self.start()
            while True:
                await self.tick()
        finally:
            self._streams.stop()

    async def start(self) -> None:
        """Stand at the end of the streams; who changed or was erased before is not known."""
        await self._streams.start()
        self._forget_all()
        for listener in self._listeners:
            listener.notify_all()

    async def tick(self) -> None:
        """Wait for changes and tell of them; start again when some may have been missed."""
        entries, missed = await self._streams.read()
        try:
            self._tell(entries)
        except DamagedEntryError as error:  # it may have named anyone
            report_unreadable("changes", "an entry of the changes of users", why=str(error))
            await asyncio.sleep(RETRY_S)  # should every entry be damaged
            missed = True
        if missed:
            await self.start()

    def _forget_all(self) -> None:
        for memory in self._memories:
            memory.forget_all()

    def _tell(self, entries: Sequence[Entry]) -> None:
        require_known(entries)
        if erased := named(entries, b"erased"):
            for memory in self._memories:
                memory.forget(erased)
        if changed := named(entries, b"users"):
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
            for load in (self._load_records, self._load_covisits, self._load_catalog):
                try:
                    offered |= await load(partition)
                except WrongTypeError as error:
                    self._streams.await_mended(error.key)
        complete = self._streams.complete
        gone: set[str] = set()
        if complete:  # else what is missing may still be offered
            gone = self._table.offered_ids() - offered
            self._table.withdraw(gone)
        self._items.catalogue_changed(gone)
        gc.freeze()  # the catalogue lives until the end: a collection need not walk it again
        self._items.following, self._items.complete = True, complete

    async def _load_records(self, partition: int) -> set[str]:
        key = self._keys.items(partition)
        async for fields in chunks(self._redis, key):
            self._put_records(key, list(fields), list(fields.values()))
        return set()

    async def _load_covisits(self, partition: int) -> set[str]:
        key = self._keys.covisits(partition)
        async for fields in chunks(self._redis, key):
            self._put_covisits(key, list(fields), list(fields.values()))
        return set()

    async def _load_catalog(self, partition: int) -> set[str]:
        key = self._keys.catalog(partition)
        offered: set[str] = set()
        async for fields in chunks(self._redis, key):
            items = catalogue_items(key, fields)
            self._table.offer(items)
            offered.update(item.item_id for item in items)
        return offered

    async def tick(self) -> None:
        """Wait for changes and take them in; load everything when some may have been missed."""
        entries, missed = await self._streams.read()
        if missed:
            await self.load("gap")
            return
        try:
            require_known(entries)
            items, covisits = named(entries, b"items"), named(entries, b"covisits")
            catalog = named(entries, b"catalog")
        except DamagedEntryError as error:  # it may have named any item
            report_unreadable("changes", "an entry of the changes of items", why=str(error))
            await asyncio.sleep(RETRY_S)  # should every entry be damaged
            await self.load("damaged")
            return
        await self._take_records(items)
        await self._take_covisits(covisits)
        await self._take_catalog(catalog)

    # --- taking in what changed ---

    async def _take_records(self, item_ids: list[str]) -> None:
        hashes = item_hashes(item_ids)
        for key, ids, blobs in await self._fetch(self._keys.items, item_ids, hashes):
            self._put_records(key, ids, blobs)

    async def _take_covisits(self, hashes: list[int]) -> None:
        names = [str(value) for value in hashes]
        owners = np.array(hashes, np.uint32)
        for key, found, blobs in await self._fetch(self._keys.covisits, names, owners):
            self._put_covisits(key, found, blobs)

    async def _take_catalog(self, item_ids: list[str]) -> None:
        hashes = item_hashes(item_ids)
        withdrawn: list[str] = []
        for key, ids, blobs in await self._fetch(self._keys.catalog, item_ids, hashes):
            fields = dict(zip(ids, blobs, strict=True))
            gone = [name for name, blob in fields.items() if blob is None]
            self._table.withdraw(gone)
            withdrawn.extend(gone)
            entries = {name: blob for name, blob in fields.items() if blob is not None}
            self._table.offer(catalogue_items(key, entries))
        if item_ids:
            self._items.catalogue_changed(withdrawn)

    def _put_records(self, key: str, ids: Sequence[str], blobs: Sequence[bytes | None]) -> None:
        self._table.put_records(*item_records(key, ids, blobs))

    def _put_covisits(self, key: str, names: Sequence[str], blobs: Sequence[bytes | None]) -> None:
        readable = transitions(key, names, blobs)
        self._table.put_covisits(readable, readable.values())

    async def _fetch(
        self, key_of: Callable[[int], str], names: Sequence[str], hashes: NDArray[np.uint32]
    ) -> list[tuple[str, list[str], list[bytes | None]]]:
        """Return (key, names, values) of fields of items, partition by partition."""
        partitions = partition_of_hash(hashes, self._partitions).tolist()
        return await fetch(self._redis, key_of, names, partitions)


async def through_failures(follow: Callable[[], Awaitable[None]], what: str) -> None:
    """Run `follow` again whenever Redis ends it; a failure that goes on is logged once."""
    logged = ""
    while True:
        try:
            await follow()
        except CLIENT_ERRORS as error:
            level = logging.DEBUG if str(error) == logged else logging.WARNING
            log.log(level, "changes of %s are not followed: %s", what, error)
            logged = str(error)
        await asyncio.sleep(RETRY_S)


def _forget(read: asyncio.Task[Any]) -> None:
    """Look at how a read ended that nobody waits for: asyncio complains when no one does."""
    if not read.cancelled():
        read.exception()
