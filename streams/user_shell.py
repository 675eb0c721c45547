"""Events from Kafka into user records, and on to the item folds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_events, event_hashes
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.events.schema import TYPE_CODES, Event
from freshet.core.metrics import APPLY_DURATION, EVENTS_APPLIED, EVENTS_DUPLICATE
from freshet.core.state.records import USER_DTYPE, pack_users, unpack_users
from streams.deltas import encode_deltas
from streams.fold_shell import FoldContext, FoldShell
from streams.item_names import ItemNames
from streams.item_vectors import LiveVectors
from streams.record_batch import RecordBatch
from streams.record_table import UNKNOWN, RecordTable, joined
from streams.store import Changes, Move, Position, Write
from streams.user_fold import UserEvents, UserFold, UserFoldOptions, fold_users

WRONG_PARTITION = "wrong_partition"


@dataclass(slots=True)
class _Read:
    """The events of one partition in a round.

    Attributes:
        user_ids: (n,) of the events.
        offsets: (n,) of the events.
        rows: (n,) of the events' users in the table of the partition.
        rejected: records that were no events of this partition.
        users: (u,) distinct `rows`.
    """

    batch: RecordBatch
    events: list[Event]
    user_ids: list[str]
    offsets: list[int]
    rejected: int
    rows: NDArray[np.int64]
    users: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FoldedEvents:
    """A round, folded: dead letters and deltas to produce, then partitions to write."""

    records: list[Record]
    writes: list[Write]
    accepted: int
    duplicates: int


class UserShell(FoldShell[FoldedEvents, RecordTable]):
    """Folds `events` into the user records, and emits `item-deltas`."""

    name = "users"

    def __init__(self, context: FoldContext, vectors: LiveVectors) -> None:
        super().__init__(context)
        self._vectors = vectors
        self._items = ItemNames()
        settings = context.settings
        self._options = UserFoldOptions(settings.covisit_distance, settings.session_half_life_s)

    @property
    def topic(self) -> str:
        """The topic of events."""
        return self.context.topics.events

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.user_position(partition)

    def _new_cache(self) -> RecordTable:
        return RecordTable(USER_DTYPE)

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedEvents:
        letters: list[Record] = []
        reads = [self._read(batch, letters) for batch in batches]
        await self._load_users(reads)
        columns, items = self._columns(reads)
        before = joined([self._table(each).take(each.users) for each in reads])
        vectors = self._vectors.current
        fold = fold_users(before, columns, vectors.lookup, vectors.tag, self._options)
        accepted = int(fold.accepted.sum())
        return FoldedEvents(
            letters + self._deltas(fold, items, columns.item),
            self._moved(reads, columns.source, fold),
            accepted,
            len(fold.accepted) - accepted,
        )

    # --- reading a round ---

    def _read(self, batch: RecordBatch, letters: list[Record]) -> _Read:
        """Decode a batch, leaving out what is no event and whose user lives elsewhere."""
        events, at, rejects = decode_events(batch.values, batch.ts_ms)
        letters += [self._dead_letter(batch, index, error) for index, error in rejects]
        rejected = len(rejects)
        user_ids = [event.user_id for event in events]
        rows = self._states[batch.partition].cache.rows(user_ids)
        if UNKNOWN in rows and (strays := self._strays(batch.partition, user_ids)):
            error = EventError(WRONG_PARTITION, "the user belongs to another; use murmur2")
            gone = [index for index, user in zip(at, user_ids, strict=True) if user in strays]
            letters += [self._dead_letter(batch, index, error) for index in gone]
            rejected += len(gone)
            at = [index for index, user in zip(at, user_ids, strict=True) if user not in strays]
            events = [event for event in events if event.user_id not in strays]
            user_ids = [event.user_id for event in events]
            rows = self._states[batch.partition].cache.rows(user_ids)
        offsets = [batch.offsets[index] for index in at] if rejected else list(batch.offsets)
        return _Read(batch, events, user_ids, offsets, rejected, rows, rows)

    def _strays(self, partition: int, user_ids: list[str]) -> set[str]:
        """Return the users that belong to another partition; a cached one was looked at before."""
        unknown = self._states[partition].cache.unknown(user_ids)
        hashes = murmur2_many([user_id.encode() for user_id in unknown])
        owners = partition_of_hash(hashes, self.context.partitions)
        return {unknown[row] for row in np.flatnonzero(owners != partition).tolist()}

    async def _load_users(self, reads: Sequence[_Read]) -> None:
        """Read the users that are not cached, and find the distinct users of each batch."""
        missing = [each for each in reads if UNKNOWN in each.rows]
        await asyncio.gather(*[self._load_missing(each) for each in missing])
        for each in reads:
            each.users = np.unique(each.rows)

    async def _load_missing(self, read: _Read) -> None:
        table = self._table(read)
        user_ids = table.unknown(read.user_ids)
        key = self.context.keys.users(read.batch.partition)
        table.add(user_ids, unpack_users(await self.context.store.fields(key, user_ids)))
        read.rows = table.rows(read.user_ids)

    def _table(self, read: _Read) -> RecordTable:
        return self._states[read.batch.partition].cache

    def _columns(self, reads: Sequence[_Read]) -> tuple[UserEvents, NDArray[np.int64]]:
        """Return the events of a round, and the numbers of their items."""
        events = [event for read in reads for event in read.events]
        counts = [len(read.events) for read in reads]
        first_user = np.cumsum([0, *[len(read.users) for read in reads[:-1]]])
        users = [
            np.searchsorted(read.users, read.rows) + first
            for read, first in zip(reads, first_user, strict=True)
        ]
        items = self._items.numbers([event.item_id for event in events])
        columns = UserEvents(
            user=np.concatenate(users),
            source=np.repeat([read.batch.partition for read in reads], counts),
            offset=np.array([offset for read in reads for offset in read.offsets], np.int64),
            ts_ms=np.array([event.ts_ms for event in events], np.int64),
            type=np.array([TYPE_CODES[event.type] for event in events], np.uint8),
            item=self._items.hashes(items),
            event=event_hashes(events),
        )
        return columns, items

    # --- what a round made ---

    def _deltas(
        self, fold: UserFold, items: NDArray[np.int64], hashes: NDArray[np.uint32]
    ) -> list[Record]:
        messages = encode_deltas(
            self._items.names,
            items[fold.accepted],
            hashes[fold.accepted],
            fold.activity,
            fold.covisits,
            self.context.partitions,
        )
        topic = self.context.topics.item_deltas
        return [Record(topic, partition, None, value) for partition, value in messages]

    def _moved(
        self, reads: Sequence[_Read], source: NDArray[np.int64], fold: UserFold
    ) -> list[Write]:
        """Move the positions in memory, and return what takes Redis there."""
        keys, partitions = self.context.keys, self.context.partitions
        accepted = np.bincount(source[fold.accepted], minlength=partitions)
        duplicates = np.bincount(source[~fold.accepted], minlength=partitions)
        newest = np.zeros(partitions, np.int64)
        np.maximum.at(newest, fold.activity["source"], fold.activity["ts_ms"])
        packed = pack_users(fold.users)
        writes, start = [], 0
        for read in reads:
            partition, end = read.batch.partition, start + len(read.users)
            state = self._states[partition]
            position = state.moved(
                read.batch.end,
                applied=int(accepted[partition]),
                duplicates=int(duplicates[partition]),
                rejected=read.rejected,
            )
            watermark = max(position.get("watermark_ts_ms", 0), int(newest[partition]))
            position["watermark_ts_ms"] = watermark
            names = state.cache.names_of(read.users)
            changes = Changes(keys.users(partition), names, packed[start:end])
            writes.append(
                Write(self._move_of(partition, state.next, position), [changes], {"users": names})
            )
            state.position = position
            state.cache.put(read.users, fold.users[start:end])
            start = end
        return writes

    async def _write(self, folded: FoldedEvents) -> None:
        await self._deliver(folded.records)
        with APPLY_DURATION.labels(self.name).time():
            await self.context.store.apply(folded.writes)
        EVENTS_APPLIED.labels(self.name).inc(folded.accepted)
        EVENTS_DUPLICATE.labels("event_id").inc(folded.duplicates)

    def _move_of(self, partition: int, expected: int, position: Position) -> Move:
        changes_key = self.context.keys.user_changes(partition)
        return Move(self.position_key(partition), changes_key, expected, position)
