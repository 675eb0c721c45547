"""Events from Kafka into user records, and on to the item folds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.control import ERASURE_PREFIX, user_hash
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.metrics import (
    ERASURES,
    HEARTBEAT_DELAY,
    PARTITION_WATERMARK,
    USERS_FORGOTTEN,
)
from freshet.core.state.readable import readable_users, report_unreadable
from freshet.core.state.records import unpack_users
from streams.deduplication import event_ids
from streams.deltas import delta_records
from streams.erasures import ErasedPeople, is_erasure, read_erasure
from streams.fold_shell import FoldContext, FoldShell
from streams.folded_events import COUNTED, FoldedEvents
from streams.item_names import ItemNames
from streams.item_vectors import LiveVectors
from streams.outbox import Entry, Outbox, entries_of
from streams.outcomes import OutcomeTeller
from streams.packed import Packed
from streams.partition_events import PartitionEvents, digests_of, event_rows, read_events
from streams.past import forgotten, pages_written
from streams.record_batch import RecordBatch
from streams.record_table import UNKNOWN
from streams.screening import Screening
from streams.state_loss import Held
from streams.store import Changes, Move, Position, Write, all_fields
from streams.unwanted import UserTable, fold_unwanted
from streams.user_fold import UserFold, fold_users
from streams.user_fold_rows import CHANGED, TOTALS, rules
from streams.user_packing import pack_users

log = logging.getLogger(__name__)

LIVE_WITHIN_MS = 3_600_000  # behind now; with older events, the past is being replayed
IDLE_LOOKED_AT = 100  # users in one step of `forget_idle`


class UserShell(FoldShell[FoldedEvents, UserTable]):
    """Folds `events` into the user records, and emits `item-deltas` and outcomes of answers."""

    name = "users"

    def __init__(self, context: FoldContext, vectors: LiveVectors) -> None:
        super().__init__(context)
        self._vectors = vectors
        self._items = ItemNames()
        self._erased = ErasedPeople()
        self._outbox = Outbox(context.keys, context.topics, context.partitions)
        self._screening = Screening(context.keys)
        self._outcomes = OutcomeTeller(context.topics.slates, context.settings)
        self._rules = rules(context.settings)
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

    def held(self, partition: int) -> Held:
        """Return what is kept of a partition beside its position."""
        keys = self.context.keys
        counted = keys.users(partition)
        others = keys.past(partition), keys.unwanted(partition), keys.event_ids(partition)
        return Held([counted, keys.erased(partition), *others], counted)

    @property
    def alone(self) -> bytes | None:
        """Erasures: what is before one in the log is counted before it, what is after it, after."""
        return ERASURE_PREFIX

    def _new_cache(self) -> UserTable:
        return UserTable()

    async def _load(self, partition: int) -> None:
        store, keys = self.context.store, self.context.keys
        self._erased.load(partition, await store.numbers(keys.erased(partition)))
        ids = await all_fields(store, keys.event_ids(partition))
        position = await store.position(self.position_key(partition))
        self._screening.load(partition, ids, position)
        left = await all_fields(store, keys.outbox(partition))
        if left:
            log.info("%s-%d: telling what a worker left: %d", self.topic, partition, len(left))
        await self._deliver(self._outbox.load(partition, left))

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedEvents:
        records: list[Record] = []
        ends = {batch.partition: batch.end for batch in batches}
        erasing = [batch for batch in batches if is_erasure(batch)]
        erasures = [self._erase(batch, records) for batch in erasing]
        reads = [read_events(batch) for batch in batches if batch not in erasing]
        writes = [write for write, _ in erasures]
        erased = sum(done for _, done in erasures)
        if not reads:
            return FoldedEvents(records, writes, ends, {}, erased, [])
        rows = await self._rows(reads)
        settings = self.context.settings
        digests, users, marks = digests_of(reads), self._cache.records, self._marks()
        events = event_rows(reads, rows, self._items, settings.low_rating, digests)
        ids = event_ids(digests, self._cache.hashes[rows])
        counts = [(read.partition, len(read)) for read in reads]
        screened = self._screening.screen(users, events, ids, counts, marks)
        fold = screened.restore(
            fold_users(users, screened.events, marks, self._vectors.current, self._rules)
        )
        unwanted = await fold_unwanted(
            self.context.store, self.context.keys, self._cache, fold.unwanted,
            settings.unwanted_ttl_s,
        )  # fmt: skip
        moves = self._moves(reads, fold)
        items = events["name"][fold.accepted]
        told = {
            read.partition: [
                self._dead_letter(read.batch, index, error) for index, error in read.rejects
            ]
            for read in reads
        }
        for outcome in self._outcomes.told(reads, events, fold.accepted, self._time_ms):
            told[outcome.partition].append(outcome)
        item_ids = [self._items.names[number] for number in items.tolist()]
        entries = entries_of(item_ids, fold.activity, fold.covisits, told)
        writes += self._writes(reads, moves, fold, entries, unwanted)
        records += delta_records(
            self.context.topics.item_deltas,
            self._items,
            items,
            fold.activity,
            fold.covisits,
            self.context.partitions,
        )
        records += [record for some in told.values() for record in some]
        return FoldedEvents(
            records,
            writes,
            ends,
            {name: int(fold.totals[name].sum()) for name in COUNTED},
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
        keys, store = self.context.keys, self.context.store
        async with self._folding, self._writing:  # what is in memory is what Redis holds
            state = self._states[partition]
            newest_ts_ms = state.position.get("watermark_ts_ms", 0)
            if newest_ts_ms < self.context.clock() - LIVE_WITHIN_MS:
                return 0
            cursor, found = await store.scan(keys.users(partition), cursor, IDLE_LOOKED_AT)
            oldest_ts_ms = newest_ts_ms - 1000 * self.context.settings.user_ttl_s
            users, damaged = readable_users(list(found.values()))
            last_ts_ms = users["last_ts_ms"]
            last_ts_ms[damaged] = newest_ts_ms  # nobody knows; their next event mends them
            idle = [
                name.decode()
                for name, is_idle in zip(found, last_ts_ms < oldest_ts_ms, strict=True)
                if is_idle
            ]
            if idle:
                move = self._move_of(partition, state.next, state.position)
                await store.apply([Write(move, forgotten(keys, partition, idle), {})])
                self._cache.forget(idle)
                USERS_FORGOTTEN.inc(len(idle))
        return cursor

    async def clear_outbox(self, partition: int) -> None:
        """Take out of the outbox of a partition what Kafka has, as its next batch would do.

        Args:
            partition: that this worker has been assigned.

        Raises:
            PositionError: the partition has gone to another worker. Nothing was taken out.
            ServiceError: Redis failed.
        """
        async with self._folding, self._writing:  # what is in memory is what Redis holds
            state = self._states[partition]
            changes = self._outbox.changes(partition, state.next, Entry())
            move = self._move_of(partition, state.next, state.position)
            await self.context.store.apply([Write(move, changes, {})])

    def told(self, partition: int) -> Sequence[str]:
        """Return what is in the outbox of a partition though Kafka has it."""
        return self._outbox.told(partition)

    # --- reading a round ---

    async def _rows(self, reads: Sequence[PartitionEvents]) -> NDArray[np.int64]:
        """Return the row of each event's user, (e,); users that are not cached are loaded.

        Events of users of another partition are refused.
        """
        table = self._cache
        user_ids = [user_id for read in reads for user_id in read.user_ids]
        rows = table.rows(user_ids)
        owners = table.records["partition"][rows]
        new = np.flatnonzero(rows == UNKNOWN)
        new_ids = [user_ids[at] for at in new.tolist()]
        hashes = murmur2_many([user_id.encode() for user_id in new_ids])
        owners[new] = partition_of_hash(hashes, self.context.partitions)
        counts = [len(read) for read in reads]
        strays = owners != np.repeat([read.partition for read in reads], counts)
        if strays.any():
            for read, some in zip(reads, np.split(strays, np.cumsum(counts)[:-1]), strict=True):
                read.refuse(some)
            return await self._rows(reads)
        if new_ids:
            await self._load_users(dict(zip(new_ids, owners[new].tolist(), strict=True)))
            rows[new] = table.rows(new_ids)
        return rows

    async def _load_users(self, owners: dict[str, int]) -> None:
        """Read users by their partitions, and put them into the cache."""
        names = sorted(owners, key=owners.__getitem__)
        groups = [(partition, list(some)) for partition, some in groupby(names, owners.__getitem__)]
        keys = self.context.keys
        wanted = [(keys.users(partition), some) for partition, some in groups]
        blobs = await self.context.store.fields(wanted)
        users, damaged = readable_users([blob for some in blobs for blob in some])
        users["has_unwanted"][damaged] = 1  # perhaps: it is looked up
        for at in damaged:  # a new user from now on, whose record is written again
            report_unreadable("users", keys.users(owners[names[at]]), user_hash(names[at]))
        users["partition"] = [owners[name] for name in names]
        start = 0
        for partition, some in groups:
            self._erased.mark(partition, some, users[start : start + len(some)])
            start += len(some)
        self._cache.add(names, users)

    def _marks(self) -> NDArray[np.int64]:
        """Return the watermark of each partition, (partitions,) ms."""
        marks = np.zeros(self.context.partitions, np.int64)
        for partition, state in self._states.items():
            marks[partition] = state.position.get("watermark_ts_ms", 0)
        return marks

    def _time_ms(self, partition: int) -> int:
        """Return how far the time of a partition has come, ms: by its events or by heartbeats."""
        position = self._states[partition].position
        return max(position.get("watermark_ts_ms", 0), position.get("heartbeat_ts_ms", 0))

    # --- what a round made ---

    def _erase(self, batch: RecordBatch, records: list[Record]) -> tuple[Write, bool]:
        """Forget a person in memory; return what does it in Redis, and whether it was one."""
        partition, keys = batch.partition, self.context.keys
        state = self._states[partition]
        expected = state.next
        try:
            erasure, ts_ms = read_erasure(batch, self.context.partitions)
        except EventError as error:
            letter = self._dead_letter(batch, 0, error)
            records.append(letter)
            changes = self._outbox.changes(partition, batch.end, Entry(records=[letter]))
            state.position = state.moved(batch.end, rejected=1)
            return Write(self._move_of(partition, expected, state.position), changes, {}), False
        name, until_ms = self._erased.add(partition, erasure.erase, ts_ms)
        # An empty record and not none: Redis may have the old one until this has been written.
        empty = unpack_users([None])
        empty["erased_ts_ms"] = until_ms
        empty["partition"] = partition
        if (row := self._cache.rows([erasure.erase]))[0] == UNKNOWN:
            self._cache.add([erasure.erase], empty)
        else:
            self._cache.records[row] = empty
        state.position = state.moved(batch.end, erasures=1)
        record = self._outcomes.erasure(partition, erasure.erase, self._time_ms(partition))
        records.append(record)
        changes = [
            *forgotten(keys, partition, [erasure.erase]),
            Changes(keys.erased(partition), [name], Packed.of([str(until_ms).encode()])),
            *self._outbox.changes(partition, batch.end, Entry(records=[record])),
        ]
        told = {"users": [erasure.erase], "erased": [erasure.erase]}
        return Write(self._move_of(partition, expected, state.position), changes, told), True

    def _moves(self, reads: Sequence[PartitionEvents], fold: UserFold) -> list[Move]:
        """Move the positions in memory, and return what takes Redis there."""
        moves = []
        for read in reads:
            partition = read.partition
            state = self._states[partition]
            totals = dict(zip(TOTALS, fold.totals[partition].tolist(), strict=True))
            totals.pop(CHANGED)
            position = state.moved(read.batch.end, rejected=len(read.rejects), **totals)
            position["watermark_ts_ms"] = int(fold.watermarks_ms[partition])
            position["impressions"] = self._screening.impressions(partition)
            if read.beats:
                position["heartbeat_ts_ms"] = max(read.beats)
            moves.append(self._move_of(partition, state.next, position))
            state.position = position
        return moves

    def _writes(
        self,
        reads: Sequence[PartitionEvents],
        moves: Sequence[Move],
        fold: UserFold,
        entries: Mapping[int, Entry],
        unwanted: Mapping[int, Sequence[Changes]],
    ) -> list[Write]:
        """Return what each partition of a round writes."""
        keys = self.context.keys
        names = self._cache.names_of(fold.changed)
        packed = pack_users(self._cache.records, fold.changed)
        values = packed.split(fold.totals[CHANGED][[read.partition for read in reads]].tolist())
        writes, start = [], 0
        for read, move, own_values in zip(reads, moves, values, strict=True):
            partition, end = read.partition, start + len(own_values.lengths)
            own_names = names[start:end]
            pages = fold.pages[fold.pages["source"] == partition]
            past_of = self._cache.names_of(pages["user"])
            changes = [
                Changes(keys.users(partition), own_names, own_values),
                *pages_written(keys.past(partition), past_of, pages),
                *unwanted.get(partition, ()),
                *self._screening.changes(partition),
                *self._outbox.changes(partition, read.batch.end, entries[partition]),
            ]
            writes.append(Write(move, changes, {"users": own_names}))
            start = end
        return writes

    async def _write(self, folded: FoldedEvents) -> None:
        await self._apply_writes(folded.writes)

    def _count(self, folded: FoldedEvents) -> None:
        for name, count in folded.counts.items():
            COUNTED[name].inc(count)
        ERASURES.inc(folded.erasures)
        for sent_ts_ms in folded.beats:
            HEARTBEAT_DELAY.observe(max(self.context.clock() - sent_ts_ms, 0) / 1000)

    async def _tell(self, folded: FoldedEvents) -> None:
        await self._deliver(folded.records)
        for partition, end in folded.ends.items():
            self._outbox.note_told(partition, end)

    def _observe(self, batch: RecordBatch) -> None:
        super()._observe(batch)
        watermark_ms = self._states[batch.partition].position.get("watermark_ts_ms", 0)
        self._watermarks[batch.partition].set(watermark_ms / 1000)

    def _move_of(self, partition: int, expected: int, position: Position) -> Move:
        changes_key = self.context.keys.user_changes(partition)
        return Move(self.position_key(partition), changes_key, expected, position)
