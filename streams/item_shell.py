"""Item deltas from Kafka into item records and transitions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, UNDECODABLE
from freshet.core.events.producer import Record
from freshet.core.metrics import APPLY_DURATION, EVENTS_APPLIED, EVENTS_DUPLICATE
from freshet.core.state.keys import Keys
from freshet.core.state.records import ITEM_DTYPE, pack_items, unpack_items
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, decode_deltas
from streams.fold_shell import FoldShell
from streams.item_fold import fold_covisits, fold_items
from streams.record_batch import RecordBatch
from streams.record_table import RecordTable, joined
from streams.store import Changes, Move, Write

SOURCE_PREFIX = "source:"
MOST_DELTA_BYTES = 50_000


class _Changed(NamedTuple):
    """Fields of a HASH and what they become."""

    names: list[str]
    values: list[bytes]


@dataclass(slots=True)
class ItemCache:
    """Records and transitions of one partition: of items by name, and by hash."""

    items: RecordTable = field(default_factory=lambda: RecordTable(ITEM_DTYPE))
    covisits: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items) + len(self.covisits)


@dataclass(slots=True)
class _Rows:
    """Rows of one item partition in a round, of which none was applied before.

    Attributes:
        passed: (partitions,) next offset of each source.
        item_ids: of the items, message by message.
        items: of each message, (n,) place in `item_ids` of each activity row's item.
    """

    passed: NDArray[np.int64]
    item_ids: list[str] = field(default_factory=list)
    items: list[NDArray[np.int64]] = field(default_factory=list)
    activity: list[NDArray[Any]] = field(default_factory=list)
    covisits: list[NDArray[Any]] = field(default_factory=list)
    duplicates: int = 0

    def add(self, raw: bytes) -> None:
        """Add the rows of a message that lie behind the position of their source.

        Raises:
            msgspec.DecodeError, ValueError, IndexError: the message is of no user fold; nothing
                was added.
        """
        deltas = decode_deltas(raw)
        activity, covisits = deltas.activity_rows(), deltas.covisit_rows()
        items = deltas.item_rows().astype(np.int64)
        if len(items) != len(activity) or items.max(initial=-1) >= len(deltas.item_ids):
            raise ValueError(f"{len(items)} items named for {len(activity)} rows")
        fresh = activity["offset"] >= self.passed[activity["source"]]
        fresh_covisits = covisits["offset"] >= self.passed[covisits["source"]]
        for rows in (activity, covisits):
            np.maximum.at(self.passed, rows["source"], rows["offset"] + 1)
        self.duplicates += len(fresh) - int(fresh.sum())
        self.items.append(items[fresh] + len(self.item_ids))
        self.item_ids += deltas.item_ids
        self.activity.append(activity[fresh])
        self.covisits.append(covisits[fresh_covisits])

    @property
    def applied(self) -> int:
        """How many events they are."""
        return sum(map(len, self.activity))


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

    @property
    def most_bytes(self) -> int | None:
        """Transitions are large: about a thousand rows make 3 ms of script."""
        return MOST_DELTA_BYTES

    def _new_cache(self) -> ItemCache:
        return ItemCache()

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedDeltas:
        letters: list[Record] = []
        rows: dict[int, _Rows] = {}
        rejected = {}
        for batch in batches:
            rows[batch.partition] = _Rows(self._passed(batch.partition))
            found = self._read(batch, rows[batch.partition])
            letters += found
            rejected[batch.partition] = len(found)
        items, covisits = await asyncio.gather(self._fold_items(rows), self._fold_covisits(rows))
        keys = self.context.keys
        writes = []
        for batch in batches:
            partition, found_rows = batch.partition, rows[batch.partition]
            state = self._states[partition]
            position = state.moved(
                batch.end,
                applied=found_rows.applied,
                duplicates=found_rows.duplicates,
                rejected=rejected[partition],
            )
            for source in np.flatnonzero(found_rows.passed).tolist():
                position[f"{SOURCE_PREFIX}{source}"] = int(found_rows.passed[source])
            move = Move(
                self.position_key(partition), keys.item_changes(partition), state.next, position
            )
            writes.append(_write_of(keys, partition, move, items[partition], covisits[partition]))
            state.position = position
        applied = sum(each.applied for each in rows.values())
        return FoldedDeltas(letters, writes, applied, sum(r.duplicates for r in rows.values()))

    def _passed(self, partition: int) -> NDArray[np.int64]:
        position = self._states[partition].position
        sources = range(self.context.partitions)
        return np.array([position.get(f"{SOURCE_PREFIX}{s}", 0) for s in sources], np.int64)

    def _read(self, batch: RecordBatch, rows: _Rows) -> list[Record]:
        letters = []
        for index, raw in enumerate(batch.values):
            try:
                rows.add(raw or b"")
            except (msgspec.DecodeError, ValueError, IndexError) as error:
                reason = UNDECODABLE if raw else EMPTY
                letters.append(self._dead_letter(batch, index, EventError(reason, str(error))))
        return letters

    async def _fold_items(self, rows: dict[int, _Rows]) -> dict[int, _Changed]:
        """Return the new item records of each partition."""
        await self._load_items(rows)
        owners: list[tuple[RecordTable, NDArray[np.int64]]] = []
        items, before, count = [], [], 0
        for partition, each in rows.items():
            table = self._states[partition].cache.items
            of_row = table.rows(each.item_ids)[_joined(each.items, np.int64)]
            distinct, inverse = np.unique(of_row, return_inverse=True)
            owners.append((table, distinct))
            items.append(inverse + count)
            before.append(table.take(distinct))
            count += len(distinct)
        activity = _joined(
            [part for each in rows.values() for part in each.activity], ACTIVITY_DTYPE
        )
        after = fold_items(joined(before), np.concatenate(items), activity)
        packed, changed, start = pack_items(after), {}, 0
        for partition, (table, distinct) in zip(rows, owners, strict=True):
            end = start + len(distinct)
            table.put(distinct, after[start:end])
            changed[partition] = _Changed(table.names_of(distinct), packed[start:end])
            start = end
        return changed

    async def _load_items(self, rows: dict[int, _Rows]) -> None:
        tables = {p: self._states[p].cache.items for p in rows}
        missing = {p: tables[p].unknown(each.item_ids) for p, each in rows.items()}
        wanted = [(self.context.keys.items(p), names) for p, names in missing.items()]
        found = await self.context.store.fields(wanted)
        for (partition, names), blobs in zip(missing.items(), found, strict=True):
            tables[partition].add(names, unpack_items(blobs))

    async def _fold_covisits(self, rows: dict[int, _Rows]) -> dict[int, _Changed]:
        """Return the new transitions of each partition, by the decimal hash of the item."""
        merged = {p: _joined(each.covisits, COVISIT_ROW_DTYPE) for p, each in rows.items()}
        owners = {p: np.unique(each["previous"]).tolist() for p, each in merged.items()}
        await self._load_covisits(owners)
        before = [self._states[p].cache.covisits[item] for p in owners for item in owners[p]]
        places, count = [], 0
        for partition, each in merged.items():
            places.append(np.searchsorted(owners[partition], each["previous"]) + count)
            count += len(owners[partition])
        half_life_s = self.context.settings.covisit_half_life_s
        transitions = np.concatenate(list(merged.values()))
        after = fold_covisits(before, np.concatenate(places), transitions, half_life_s)
        changed, start = {}, 0
        for partition, items in owners.items():
            end = start + len(items)
            both = zip(items, before[start:end], after[start:end], strict=True)
            new = {item: sample for item, old, sample in both if sample is not old}
            self._states[partition].cache.covisits.update(new)
            changed[partition] = _Changed(list(map(str, new)), list(new.values()))
            start = end
        return changed

    async def _load_covisits(self, owners: dict[int, list[int]]) -> None:
        caches = {p: self._states[p].cache.covisits for p in owners}
        missing = {p: [item for item in owners[p] if item not in caches[p]] for p in owners}
        key_of = self.context.keys.covisits
        wanted = [(key_of(p), list(map(str, items))) for p, items in missing.items()]
        found = await self.context.store.fields(wanted)
        for (partition, items), samples in zip(missing.items(), found, strict=True):
            caches[partition].update(
                (item, sample or b"") for item, sample in zip(items, samples, strict=True)
            )

    async def _write(self, folded: FoldedDeltas) -> None:
        await self._deliver(folded.letters)
        with APPLY_DURATION.labels(self.name).time():
            await self.context.store.apply(folded.writes)
        EVENTS_APPLIED.labels(self.name).inc(folded.applied)
        EVENTS_DUPLICATE.labels("offset").inc(folded.duplicates)


def _write_of(keys: Keys, partition: int, move: Move, items: _Changed, covisits: _Changed) -> Write:
    return Write(
        move,
        [
            Changes(keys.items(partition), items.names, items.values),
            Changes(keys.covisits(partition), covisits.names, covisits.values),
        ],
        {"items": items.names, "covisits": [int(item) for item in covisits.names]},
    )


def _joined(parts: Sequence[NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
