"""Events from Kafka into user records, and on to the item folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_events, event_hash
from freshet.core.events.partition import item_hashes, murmur2_many, partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.events.schema import TYPE_CODES, Event
from freshet.core.metrics import APPLY_DURATION, EVENTS_DUPLICATE
from freshet.core.state.records import pack_users, unpack_users
from streams.deltas import encode_deltas
from streams.fold_shell import FoldContext, FoldShell
from streams.item_vectors import LiveVectors
from streams.partition_state import PartitionState
from streams.record_batch import RecordBatch
from streams.user_fold import UserEvents, UserFold, UserFoldOptions, fold_users

WRONG_PARTITION = "wrong_partition"


@dataclass(frozen=True, slots=True)
class _Piece:
    """One piece of a batch, folded: what its script call will write."""

    records: RecordBatch
    user_ids: list[str]
    packed: list[bytes]
    fold: UserFold
    item_ids: list[str]
    items: NDArray[np.uint32]
    rejected: int


class UserShell(FoldShell):
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

    async def _apply(self, state: PartitionState, batch: RecordBatch) -> None:
        # All pieces are folded first, so that one round trip to Kafka covers the whole batch.
        pieces, letters = [], []
        for records in batch.pieces(self.context.settings.batch_events):
            piece, rejects = await self._fold(state, records)
            pieces.append(piece)
            letters += rejects
        await self._deliver(letters + self._deltas(batch.partition, pieces))
        for piece in pieces:
            await self._write(state, piece)

    async def _fold(
        self, state: PartitionState, records: RecordBatch
    ) -> tuple[_Piece, list[Record]]:
        events, at, rejects = decode_events(records.values, records.ts_ms)
        strays = await self._load_users(state, records.partition, events)
        letters = [self._dead_letter(records, index, error) for index, error in rejects]
        if strays:
            error = EventError(WRONG_PARTITION, "the user belongs to another; use murmur2")
            kept = [row for row, event in enumerate(events) if event.user_id not in strays]
            letters += [
                self._dead_letter(records, at[row], error)
                for row in sorted(set(range(len(events))) - set(kept))
            ]
            events, at = [events[row] for row in kept], [at[row] for row in kept]
        row_of: dict[str, int] = {}
        user = [row_of.setdefault(event.user_id, len(row_of)) for event in events]
        item_ids = [event.item_id for event in events]
        columns = UserEvents(
            np.array(user, np.int64),
            np.array([records.offsets[index] for index in at], np.int64),
            np.array([event.ts_ms for event in events], np.int64),
            np.array([TYPE_CODES[event.type] for event in events], np.uint8),
            item_hashes(item_ids),
            np.array([event_hash(event.event_id) for event in events], np.uint64),
        )
        users = unpack_users([state.records.get(user_id) for user_id in row_of])
        vectors = self._vectors.current
        fold = fold_users(users, columns, vectors.lookup, vectors.tag, self._options)
        packed = pack_users(fold.users)
        state.records.update(dict(zip(row_of, packed, strict=True)))
        return _Piece(
            records, list(row_of), packed, fold, item_ids, columns.item, len(letters)
        ), letters

    async def _load_users(
        self, state: PartitionState, partition: int, events: list[Event]
    ) -> set[str]:
        """Read the users that are not cached; return those that belong to another partition."""
        cached = state.records
        unknown = list(dict.fromkeys(e.user_id for e in events if e.user_id not in cached))
        if not unknown:
            return set()
        hashes = murmur2_many([user_id.encode() for user_id in unknown])
        owners = partition_of_hash(hashes, self.context.partitions)
        own = [user for user, owner in zip(unknown, owners, strict=True) if owner == partition]
        keys = [self.context.keys.user(partition, user_id) for user_id in own]
        found = await self.context.store.strings(keys)
        state.records.update({user: blob for user, blob in zip(own, found, strict=True) if blob})
        return set(unknown) - set(own)

    def _deltas(self, source: int, pieces: list[_Piece]) -> list[Record]:
        rows = [np.flatnonzero(piece.fold.accepted) for piece in pieces]
        messages = encode_deltas(
            source,
            [
                p.item_ids[row]
                for p, kept in zip(pieces, rows, strict=True)
                for row in kept.tolist()
            ],
            np.concatenate([p.items[kept] for p, kept in zip(pieces, rows, strict=True)]),
            np.concatenate([piece.fold.activity for piece in pieces]),
            np.concatenate([piece.fold.covisits for piece in pieces]),
            self.context.partitions,
        )
        topic = self.context.topics.item_deltas
        return [Record(topic, partition, None, value) for partition, value in messages]

    async def _write(self, state: PartitionState, piece: _Piece) -> None:
        keys, partition = self.context.keys, piece.records.partition
        accepted = int(piece.fold.accepted.sum())
        duplicates = len(piece.fold.accepted) - accepted
        position = state.moved(
            piece.records.end, applied=accepted, duplicates=duplicates, rejected=piece.rejected
        )
        if accepted:
            newest = int(piece.fold.activity["ts_ms"].max())
            position["watermark_ts_ms"] = max(position.get("watermark_ts_ms", 0), newest)
        user_keys = [keys.user(partition, user_id) for user_id in piece.user_ids]
        with APPLY_DURATION.labels(self.name).time():
            await self.context.store.apply_users(
                self.position_key(partition),
                keys.user_changes(partition),
                state.next,
                position,
                dict(zip(user_keys, piece.packed, strict=True)),
                piece.user_ids,
                self.context.settings.user_ttl_s,
            )
        state.position = position
        EVENTS_DUPLICATE.labels("event_id").inc(duplicates)
        self._applied(state, piece.records, accepted)
