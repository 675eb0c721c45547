"""Item deltas from Kafka into item records and transitions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.partition import partition_of, partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.metrics import EVENTS_APPLIED, EVENTS_DUPLICATE
from freshet.core.state.readable import readable_covisits, readable_items, report_unreadable
from freshet.core.state.records import ITEM_DTYPE
from streams.fold_shell import FoldShell
from streams.item_fold import fold_covisits, fold_items
from streams.packed import Packed
from streams.partition_deltas import PartitionDeltas, read_deltas
from streams.record_batch import RecordBatch
from streams.record_table import RecordTable
from streams.state_loss import Held
from streams.store import Changes, Move, Write

SOURCE_PREFIX = "source:"
MOST_DELTA_BYTES = 50_000


class _Changed(NamedTuple):
    """Items, by name or by hash, and what their records or transitions become."""

    ids: list[Any]
    values: Packed


@dataclass(slots=True)
class ItemCache:
    """Records of items by name, and their transitions by hash."""

    items: RecordTable = field(default_factory=lambda: RecordTable(ITEM_DTYPE))
    covisits: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items) + len(self.covisits)


@dataclass(frozen=True, slots=True)
class FoldedDeltas:
    """A round, folded: dead letters to produce, then partitions to write."""

    letters: list[Record]
    writes: list[Write]
    applied: int
    duplicates: int


class ItemShell(FoldShell[FoldedDeltas, ItemCache]):
    """Folds `item-deltas` into the item records and the transitions."""

    name = "items"

    @property
    def topic(self) -> str:
        """The topic of item deltas."""
        return self.context.topics.item_deltas

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.item_position(partition)

    def held(self, partition: int) -> Held:
        """Return what is kept of a partition beside its position."""
        counted = self.context.keys.items(partition)
        return Held([counted, self.context.keys.covisits(partition)], counted)

    @property
    def most_bytes(self) -> int | None:
        """Transitions are large: about a thousand rows make 3 ms of script."""
        return MOST_DELTA_BYTES

    def _new_cache(self) -> ItemCache:
        return ItemCache()

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedDeltas:
        reads = [read_deltas(batch, self._passed(batch.partition)) for batch in batches]
        items, covisits = await asyncio.gather(self._fold_items(reads), self._fold_covisits(reads))
        return FoldedDeltas(
            [
                self._dead_letter(read.batch, index, error)
                for read in reads
                for index, error in read.rejects
            ],
            [self._moved(*each) for each in zip(reads, items, covisits, strict=True)],
            sum(read.applied for read in reads),
            sum(read.duplicates for read in reads),
        )

    def _passed(self, partition: int) -> NDArray[np.int64]:
        position = self._states[partition].position
        sources = range(self.context.partitions)
        return np.array([position.get(f"{SOURCE_PREFIX}{s}", 0) for s in sources], np.int64)

    def _moved(self, read: PartitionDeltas, items: _Changed, covisits: _Changed) -> Write:
        """Move a position in memory, and return what takes Redis there."""
        partition, keys = read.partition, self.context.keys
        state = self._states[partition]
        position = state.moved(
            read.batch.end,
            applied=read.applied,
            duplicates=read.duplicates,
            rejected=len(read.rejects),
        )
        for source in np.flatnonzero(read.passed).tolist():
            position[f"{SOURCE_PREFIX}{source}"] = int(read.passed[source])
        move = Move(
            self.position_key(partition), keys.item_changes(partition), state.next, position
        )
        state.position = position
        changes = [
            Changes(keys.items(partition), items.ids, items.values),
            Changes(keys.covisits(partition), list(map(str, covisits.ids)), covisits.values),
        ]
        return Write(move, changes, {"items": items.ids, "covisits": covisits.ids})

    async def _fold_items(self, reads: Sequence[PartitionDeltas]) -> list[_Changed]:
        """Count into the records of the items, and return those of each partition."""
        await self._load_items(reads)
        table = self._cache.items
        rows = [table.rows(read.item_ids) for read in reads]
        item = [some[place] for read, some in zip(reads, rows, strict=True) for place in read.items]
        activity = [part for read in reads for part in read.activity]
        if activity:
            fold_items(table.records, np.concatenate(item), np.concatenate(activity))
        distinct = [np.unique(some) for some in rows]
        values = table.packed(np.concatenate(distinct)).split(list(map(len, distinct)))
        return [
            _Changed(table.names_of(some), own) for some, own in zip(distinct, values, strict=True)
        ]

    async def _load_items(self, reads: Sequence[PartitionDeltas]) -> None:
        missing = [self._cache.items.unknown(read.item_ids) for read in reads]
        keys = [self.context.keys.items(read.partition) for read in reads]
        found = await self.context.store.fields(list(zip(keys, missing, strict=True)))
        names = [name for some in missing for name in some]
        if not names:
            return
        items, damaged = readable_items([blob for some in found for blob in some])
        for at in damaged:  # counts from now on, and is written again
            owner = partition_of(names[at], self.context.partitions)
            report_unreadable("items", self.context.keys.items(owner), names[at])
        self._cache.items.add(names, items)

    async def _fold_covisits(self, reads: Sequence[PartitionDeltas]) -> list[_Changed]:
        """Return the new transitions of each partition, by the hash of the item."""
        rows = [part for read in reads for part in read.covisits]
        if not rows:
            return [_Changed([], Packed()) for _ in reads]
        transitions = np.concatenate(rows)
        hashes, place = np.unique(transitions["previous"], return_inverse=True)
        owners = partition_of_hash(hashes, self.context.partitions).tolist()
        items = hashes.tolist()
        await self._load_covisits(items, owners)
        samples = self._cache.covisits
        before = [samples[item] for item in items]
        half_life_s = self.context.settings.covisit_half_life_s
        after = fold_covisits(before, place, transitions, half_life_s)
        changed: dict[int, dict[int, bytes]] = {read.partition: {} for read in reads}
        for item, owner, old, sample in zip(items, owners, before, after, strict=True):
            if sample is not old:
                changed[owner][item] = samples[item] = sample
        return [_Changed(list(new), Packed.of(list(new.values()))) for new in changed.values()]

    async def _load_covisits(self, items: Sequence[int], owners: Sequence[int]) -> None:
        samples = self._cache.covisits
        missing: defaultdict[int, list[int]] = defaultdict(list)
        for item, owner in zip(items, owners, strict=True):
            if item not in samples:
                missing[owner].append(item)
        wanted = [
            (self.context.keys.covisits(partition), list(map(str, some)))
            for partition, some in missing.items()
        ]
        found = await self.context.store.fields(wanted)
        for (key, _), some, blobs in zip(wanted, missing.values(), found, strict=True):
            packed, damaged = readable_covisits(blobs)
            for at in damaged:
                report_unreadable("covisits", key, str(some[at]))
            samples.update((item, blob or b"") for item, blob in zip(some, packed, strict=True))

    async def _write(self, folded: FoldedDeltas) -> None:
        await self._deliver(folded.letters)
        await self._apply_writes(folded.writes)

    def _count(self, folded: FoldedDeltas) -> None:
        EVENTS_APPLIED.labels(self.name).inc(folded.applied)
        EVENTS_DUPLICATE.labels("offset").inc(folded.duplicates)
