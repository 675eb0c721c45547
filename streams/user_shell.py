"""Events from Kafka into user records, and on to the item folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import event_hashes
from freshet.core.events.control import ERASURE_PREFIX
from freshet.core.events.producer import Record
from freshet.core.events.schema import TYPE_CODES
from freshet.core.metrics import (
    APPLY_DURATION,
    ERASURES,
    EVENTS_APPLIED,
    EVENTS_CLAMPED,
    EVENTS_DUPLICATE,
    EVENTS_ERASED,
    EVENTS_LATE,
    EVENTS_OUT_OF_ORDER,
    HEARTBEAT_DELAY,
    PARTITION_WATERMARK,
    USERS_FORGOTTEN,
)
from freshet.core.state.records import USER_DTYPE, applied_events, pack_users, unpack_users
from streams.deltas import encode_deltas
from streams.erasures import ErasedPeople, is_erasure, read_erasure
from streams.event_time import clamped, newest_before
from streams.fold_shell import FoldContext, FoldShell
from streams.item_names import ItemNames
from streams.item_vectors import LiveVectors
from streams.partition_events import PartitionEvents, read_events
from streams.record_batch import RecordBatch
from streams.record_table import UNKNOWN, RecordTable, joined
from streams.store import Changes, Move, Position, Write
from streams.user_fold import UserEvents, UserFold, UserFoldOptions, fold_users

LIVE_WITHIN_MS = 3_600_000  # behind now; with older events, the past is being replayed
IDLE_LOOKED_AT = 100  # users in one step of `forget_idle`

_COUNTED = {
    "applied": EVENTS_APPLIED.labels("users"),
    "duplicates": EVENTS_DUPLICATE.labels("event_id"),
    "clamped": EVENTS_CLAMPED,
    "late": EVENTS_LATE,
    "out_of_order": EVENTS_OUT_OF_ORDER,
    "erased": EVENTS_ERASED,
}
"""Totals of the position, and the metric of each."""


@dataclass(frozen=True, slots=True)
class FoldedEvents:
    """A round, folded: dead letters and deltas to produce, then partitions to write.

    Attributes:
        counts: of the names of `_COUNTED`, over all partitions.
        erasures: people who were erased.
        beats: when the heartbeats in the round were sent, ms.
    """

    records: list[Record]
    writes: list[Write]
    counts: dict[str, int]
    erasures: int
    beats: list[int]


class UserShell(FoldShell[FoldedEvents, RecordTable]):
    """Folds `events` into the user records, and emits `item-deltas`."""

    name = "users"

    def __init__(self, context: FoldContext, vectors: LiveVectors) -> None:
        super().__init__(context)
        self._vectors = vectors
        self._items = ItemNames()
        self._erased = ErasedPeople()
        settings = context.settings
        self._options = UserFoldOptions(settings.covisit_distance, settings.session_half_life_s)
        self._watermarks = [
            PARTITION_WATERMARK.labels(str(partition)) for partition in range(context.partitions)
        ]

    @property
    def topic(self) -> str:
        """The topic of events."""
        return self.context.topics.events

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.user_position(partition)

    @property
    def alone(self) -> bytes | None:
        """Erasures: what is before one in the log is counted before it, what is after it, after."""
        return ERASURE_PREFIX

    def _new_cache(self) -> RecordTable:
        return RecordTable(USER_DTYPE)

    async def _load(self, partition: int) -> None:
        erased = await self.context.store.numbers(self.context.keys.erased(partition))
        self._erased.load(partition, erased)

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedEvents:
        letters: list[Record] = []
        erasing = [batch for batch in batches if is_erasure(batch)]
        erasures = [self._erase(batch, letters) for batch in erasing]
        reads = [self._read(batch, letters) for batch in batches if batch not in erasing]
        writes = [write for write, _ in erasures]
        erased = sum(done for _, done in erasures)
        if not reads:
            return FoldedEvents(letters, writes, {}, erased, [])
        await self._load_users(reads)
        columns, items, ahead = self._columns(reads)
        before = joined([self._table(each).take(each.users) for each in reads])
        vectors = self._vectors.current
        fold = fold_users(before, columns, vectors.lookup, vectors.tag, self._options)
        totals = self._totals(reads, columns.source, ahead, fold)
        return FoldedEvents(
            letters + self._deltas(fold, items, columns.item),
            writes + self._moved(reads, totals, fold),
            {name: int(each.sum()) for name, each in totals.items()},
            erased,
            [beat for read in reads for beat in read.beats],
        )

    async def forget_idle(self, partition: int, cursor: int) -> int:
        """Delete the users among some of a partition who were idle for `user_ttl_s`.

        Idle is who has had no event for so long when the newest event of the partition came.
        Nobody is idle in a log of the past that is being replayed: its newest event is long ago.

        Args:
            partition: that this worker has been assigned.
            cursor: where to go on among its users, 0 to begin.

        Returns:
            The next cursor, 0 when all users were looked at.

        Raises:
            PositionError: the partition has gone to another worker. Nothing was deleted.
            ServiceError: Redis failed.
        """
        key, ttl_ms = self.context.keys.users(partition), 1000 * self.context.settings.user_ttl_s
        async with self._folding, self._writing:  # what is in memory is what Redis holds
            state = self._states[partition]
            newest_ts_ms = state.position.get("watermark_ts_ms", 0)
            if newest_ts_ms < self.context.clock() - LIVE_WITHIN_MS:
                return 0
            cursor, found = await self.context.store.scan(key, cursor, IDLE_LOOKED_AT)
            oldest_ts_ms = newest_ts_ms - ttl_ms
            last_ts_ms = unpack_users(list(found.values()))["last_ts_ms"]
            idle = [
                name.decode()
                for name, is_idle in zip(found, last_ts_ms < oldest_ts_ms, strict=True)
                if is_idle
            ]
            if idle:
                move = self._move_of(partition, state.next, state.position)
                await self.context.store.apply([Write(move, [Changes(key, delete=idle)], {})])
                state.cache.forget(idle)
                USERS_FORGOTTEN.inc(len(idle))
        return cursor

    # --- reading a round ---

    def _read(self, batch: RecordBatch, letters: list[Record]) -> PartitionEvents:
        table = self._states[batch.partition].cache
        read = read_events(batch, table, self.context.partitions)
        letters += [self._dead_letter(batch, index, error) for index, error in read.rejects]
        return read

    async def _load_users(self, reads: Sequence[PartitionEvents]) -> None:
        """Read the users that are not cached, and find the distinct users of each batch."""
        missing = [each for each in reads if UNKNOWN in each.rows]
        unknown = [self._table(each).unknown(each.user_ids) for each in missing]
        keys = [self.context.keys.users(each.partition) for each in missing]
        found = await self.context.store.fields(list(zip(keys, unknown, strict=True)))
        for each, user_ids, blobs in zip(missing, unknown, found, strict=True):
            users = unpack_users(blobs)
            self._erased.mark(each.partition, user_ids, users)
            self._table(each).add(user_ids, users)
            each.rows = self._table(each).rows(each.user_ids)
        for each in reads:
            each.users = np.unique(each.rows)

    def _table(self, read: PartitionEvents) -> RecordTable:
        return self._states[read.partition].cache

    def _columns(
        self, reads: Sequence[PartitionEvents]
    ) -> tuple[UserEvents, NDArray[np.int64], NDArray[np.bool_]]:
        """Return the events of a round, the numbers of their items, and whose clock is ahead."""
        events = [event for read in reads for event in read.events]
        counts = [len(read.events) for read in reads]
        first_user = np.cumsum([0, *[len(read.users) for read in reads[:-1]]])
        users = [
            np.searchsorted(read.users, read.rows) + first
            for read, first in zip(reads, first_user, strict=True)
        ]
        items = self._items.numbers([event.item_id for event in events])
        ts_ms = np.array([event.ts_ms for event in events], np.int64)
        log_ts_ms = [np.array(read.log_ts_ms, np.int64) for read in reads]
        ts_ms, ahead = clamped(ts_ms, np.concatenate(log_ts_ms))
        columns = UserEvents(
            user=np.concatenate(users),
            source=np.repeat([read.partition for read in reads], counts),
            offset=np.array([offset for read in reads for offset in read.offsets], np.int64),
            ts_ms=ts_ms,
            type=np.array([TYPE_CODES[event.type] for event in events], np.uint8),
            item=self._items.hashes(items),
            event=event_hashes(events),
        )
        return columns, items, ahead

    # --- what a round made ---

    def _erase(self, batch: RecordBatch, letters: list[Record]) -> tuple[Write, bool]:
        """Forget a person in memory; return what does it in Redis, and whether it was one."""
        partition, keys = batch.partition, self.context.keys
        state = self._states[partition]
        expected = state.next
        try:
            erasure, ts_ms = read_erasure(batch, self.context.partitions)
        except EventError as error:
            letters.append(self._dead_letter(batch, 0, error))
            state.position = state.moved(batch.end, rejected=1)
            return Write(self._move_of(partition, expected, state.position), [], {}), False
        name, until_ms = self._erased.add(partition, erasure.erase, ts_ms)
        # An empty record and not none: Redis may have the old one until this has been written.
        empty = unpack_users([None])
        empty["erased_ts_ms"] = until_ms
        if (row := state.cache.rows([erasure.erase]))[0] == UNKNOWN:
            state.cache.add([erasure.erase], empty)
        else:
            state.cache.put(row, empty)
        state.position = state.moved(batch.end, erasures=1)
        changes = [
            Changes(keys.users(partition), delete=[erasure.erase]),
            Changes(keys.erased(partition), [name], [str(until_ms).encode()]),
        ]
        told = {"users": [erasure.erase], "erased": [erasure.erase]}
        return Write(self._move_of(partition, expected, state.position), changes, told), True

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

    def _totals(
        self,
        reads: Sequence[PartitionEvents],
        source: NDArray[np.int64],
        ahead: NDArray[np.bool_],
        fold: UserFold,
    ) -> dict[str, NDArray[np.int64]]:
        """Return what is added to each total of the positions, (partitions,) each.

        Args:
            reads: the round.
            source: (e,) partition of each event.
            ahead: (e,) bool, whose clock was ahead.
            fold: of the events.
        """
        applied = fold.activity["source"]
        flagged = {
            "applied": source[fold.accepted],
            "duplicates": source[~(fold.accepted | fold.erased)],
            "clamped": source[fold.accepted & ahead],
            "late": applied[self._late(reads, fold)],
            "out_of_order": applied[fold.out_of_order],
            "erased": source[fold.erased],
        }
        size = self.context.partitions
        return {name: np.bincount(rows, minlength=size) for name, rows in flagged.items()}

    def _late(self, reads: Sequence[PartitionEvents], fold: UserFold) -> NDArray[np.bool_]:
        """Return which accepted events were far behind the newest of their partition, (a,)."""
        places = np.zeros(self.context.partitions, np.int64)
        places[[read.partition for read in reads]] = np.arange(len(reads))
        marks = [self._states[read.partition].position.get("watermark_ts_ms", 0) for read in reads]
        ts_ms, place = fold.activity["ts_ms"], places[fold.activity["source"]]
        newest = newest_before(place, ts_ms, np.array(marks, np.int64))
        return np.asarray(ts_ms < newest - 1000 * self.context.settings.late_s)

    def _moved(
        self,
        reads: Sequence[PartitionEvents],
        totals: dict[str, NDArray[np.int64]],
        fold: UserFold,
    ) -> list[Write]:
        """Move the positions in memory, and return what takes Redis there."""
        keys = self.context.keys
        newest = np.zeros(self.context.partitions, np.int64)
        np.maximum.at(newest, fold.activity["source"], fold.activity["ts_ms"])
        # A person of whom only erased events came is not there, and remains so.
        there = applied_events(fold.users) > 0 if fold.erased.any() else None
        packed = pack_users(fold.users)
        writes, start = [], 0
        for read in reads:
            partition, end = read.partition, start + len(read.users)
            state = self._states[partition]
            added = {name: int(each[partition]) for name, each in totals.items()}
            position = state.moved(read.batch.end, rejected=len(read.rejects), **added)
            watermark = max(position.get("watermark_ts_ms", 0), int(newest[partition]))
            position["watermark_ts_ms"] = watermark
            if read.beats:
                position["heartbeat_ts_ms"] = max(read.beats)
            names, values = state.cache.names_of(read.users), packed[start:end]
            if there is not None:
                names = list(compress(names, there[start:end]))
                values = list(compress(values, there[start:end]))
            changes = Changes(keys.users(partition), names, values)
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
        for name, count in folded.counts.items():
            _COUNTED[name].inc(count)
        ERASURES.inc(folded.erasures)
        for sent_ts_ms in folded.beats:
            HEARTBEAT_DELAY.observe(max(self.context.clock() - sent_ts_ms, 0) / 1000)

    def _observe(self, batch: RecordBatch) -> None:
        super()._observe(batch)
        watermark_ms = self._states[batch.partition].position.get("watermark_ts_ms", 0)
        self._watermarks[batch.partition].set(watermark_ms / 1000)

    def _move_of(self, partition: int, expected: int, position: Position) -> Move:
        changes_key = self.context.keys.user_changes(partition)
        return Move(self.position_key(partition), changes_key, expected, position)
