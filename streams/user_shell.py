"""Events from Kafka into user records, and on to the item folds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_events, event_hash
from freshet.core.events.partition import item_hashes, murmur2_many, partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.events.schema import TYPE_CODES, Event
from freshet.core.metrics import APPLY_DURATION, EVENTS_APPLIED, EVENTS_DUPLICATE
from freshet.core.state.records import pack_users, unpack_users
from streams.deltas import encode_deltas
from streams.fold_shell import FoldContext, FoldShell
from streams.item_vectors import LiveVectors
from streams.record_batch import RecordBatch
from streams.store import Changes, Move, Position, Write
from streams.user_fold import UserEvents, UserFold, UserFoldOptions, fold_users

WRONG_PARTITION = "wrong_partition"


@dataclass(frozen=True, slots=True)
class _Decoded:
    """The events of a round, with the partition and offset of each."""

    events: list[Event]
    sources: list[int]
    offsets: list[int]
    letters: list[Record]
    rejected: dict[int, int]


@dataclass(frozen=True, slots=True)
class FoldedEvents:
    """A round, folded: dead letters and deltas to produce, then partitions to write."""

    records: list[Record]
    writes: list[Write]
    accepted: int
    duplicates: int


class UserShell(FoldShell[FoldedEvents]):
    """Folds `events` into the user records, and emits `item-deltas`."""

    name = "users"

    def __init__(self, context: FoldContext, vectors: LiveVectors) -> None:
        super().__init__(context)
        self._vectors = vectors
        settings = context.settings
        self._options = UserFoldOptions(settings.covisit_distance, settings.session_half_life_s)

    @property
    def topic(self) -> str:
        """The topic of events."""
        return self.context.topics.events

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.user_position(partition)

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedEvents:
        decoded = self._decode(batches)
        owners = await self._load_users(decoded.events, decoded.sources)
        row_of = {user_id: row for row, user_id in enumerate(owners)}
        columns, item_ids = _columns(decoded, row_of)
        before = [self._states[owner].records.get(user) for user, owner in owners.items()]
        vectors = self._vectors.current
        fold = fold_users(unpack_users(before), columns, vectors.lookup, vectors.tag, self._options)
        accepted = int(fold.accepted.sum())
        return FoldedEvents(
            decoded.letters + self._deltas(fold, columns.item, item_ids),
            self._moved(batches, owners, columns.source, fold, decoded.rejected),
            accepted,
            len(fold.accepted) - accepted,
        )

    def _decode(self, batches: Sequence[RecordBatch]) -> _Decoded:
        """Decode a round, leaving out what is no event and whose user lives elsewhere."""
        decoded = _Decoded([], [], [], [], {})
        for batch in batches:
            events, at, rejects = decode_events(batch.values, batch.ts_ms)
            letters = [self._dead_letter(batch, index, error) for index, error in rejects]
            strays = self._strays(batch.partition, events)
            if strays:
                error = EventError(WRONG_PARTITION, "the user belongs to another; use murmur2")
                gone = {at[row] for row, event in enumerate(events) if event.user_id in strays}
                letters += [self._dead_letter(batch, index, error) for index in sorted(gone)]
                events = [event for event in events if event.user_id not in strays]
                at = [index for index in at if index not in gone]
            decoded.events.extend(events)
            decoded.sources.extend([batch.partition] * len(events))
            decoded.offsets.extend([batch.offsets[index] for index in at])
            decoded.letters.extend(letters)
            decoded.rejected[batch.partition] = len(letters)
        return decoded

    def _strays(self, partition: int, events: list[Event]) -> set[str]:
        """Return the users that belong to another partition; a cached one was looked at before."""
        cached = self._states[partition].records
        unknown = list({event.user_id for event in events if event.user_id not in cached})
        hashes = murmur2_many([user_id.encode() for user_id in unknown])
        owners = partition_of_hash(hashes, self.context.partitions)
        return {unknown[row] for row in np.flatnonzero(owners != partition).tolist()}

    async def _load_users(self, events: list[Event], sources: list[int]) -> dict[str, int]:
        """Read the users that are not cached; return the partition of every user of the round."""
        owners = {event.user_id: source for event, source in zip(events, sources, strict=True)}
        missing: dict[int, list[str]] = {}
        for user_id, owner in owners.items():
            if user_id not in self._states[owner].records:
                missing.setdefault(owner, []).append(user_id)
        keys, store = self.context.keys, self.context.store
        reads = [store.fields(keys.users(owner), users) for owner, users in missing.items()]
        for (owner, users), blobs in zip(
            missing.items(), await asyncio.gather(*reads), strict=True
        ):
            found = {user: blob for user, blob in zip(users, blobs, strict=True) if blob}
            self._states[owner].records.update(found)
        return owners

    def _deltas(
        self, fold: UserFold, items: NDArray[np.uint32], item_ids: list[str]
    ) -> list[Record]:
        kept = np.flatnonzero(fold.accepted)
        messages = encode_deltas(
            [item_ids[row] for row in kept.tolist()],
            items[kept],
            fold.activity,
            fold.covisits,
            self.context.partitions,
        )
        topic = self.context.topics.item_deltas
        return [Record(topic, partition, None, value) for partition, value in messages]

    def _moved(
        self,
        batches: Sequence[RecordBatch],
        owners: dict[str, int],
        source: NDArray[np.int64],
        fold: UserFold,
        rejected: dict[int, int],
    ) -> list[Write]:
        """Move the positions in memory, and return what takes Redis there."""
        users: dict[int, dict[str, bytes]] = {batch.partition: {} for batch in batches}
        for (user_id, owner), blob in zip(owners.items(), pack_users(fold.users), strict=True):
            users[owner][user_id] = blob
        keys, partitions = self.context.keys, self.context.partitions
        accepted = np.bincount(source[fold.accepted], minlength=partitions)
        duplicates = np.bincount(source[~fold.accepted], minlength=partitions)
        newest = np.zeros(partitions, np.int64)
        np.maximum.at(newest, fold.activity["source"], fold.activity["ts_ms"])
        writes = []
        for batch in batches:
            partition, packed = batch.partition, users[batch.partition]
            state = self._states[partition]
            position = state.moved(
                batch.end,
                applied=int(accepted[partition]),
                duplicates=int(duplicates[partition]),
                rejected=rejected[partition],
            )
            watermark = max(position.get("watermark_ts_ms", 0), int(newest[partition]))
            position["watermark_ts_ms"] = watermark
            move = self._move_of(partition, state.next, position)
            changes = Changes(keys.users(partition), packed)
            writes.append(Write(move, [changes], {"users": list(packed)}))
            state.position = position
            state.records.update(packed)
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


def _columns(decoded: _Decoded, row_of: dict[str, int]) -> tuple[UserEvents, list[str]]:
    events = decoded.events
    item_ids = [event.item_id for event in events]
    columns = UserEvents(
        user=np.array([row_of[event.user_id] for event in events], np.int64),
        source=np.array(decoded.sources, np.int64),
        offset=np.array(decoded.offsets, np.int64),
        ts_ms=np.array([event.ts_ms for event in events], np.int64),
        type=np.array([TYPE_CODES[event.type] for event in events], np.uint8),
        item=item_hashes(item_ids),
        event=np.array([event_hash(event.event_id) for event in events], np.uint64),
    )
    return columns, item_ids
