"""Item deltas from Kafka into item records and transitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, UNDECODABLE
from freshet.core.events.producer import Record
from freshet.core.metrics import APPLY_DURATION, EVENTS_APPLIED, EVENTS_DUPLICATE
from freshet.core.state.keys import Keys
from freshet.core.state.records import pack_items, unpack_items
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, decode_deltas
from streams.fold_shell import FoldShell
from streams.item_fold import fold_covisits, fold_items
from streams.record_batch import RecordBatch
from streams.store import Changes, Move, Write

SOURCE_PREFIX = "source:"


@dataclass(slots=True)
class _Rows:
    """Rows of one item partition in a round, of which none was applied before.

    Attributes:
        passed: (partitions,) next offset of each source.
    """

    passed: NDArray[np.int64]
    item_ids: list[str] = field(default_factory=list)
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
        fresh = activity["offset"] >= self.passed[activity["source"]]
        fresh_covisits = covisits["offset"] >= self.passed[covisits["source"]]
        ids = deltas.item_ids
        if not fresh.all():
            ids = [item_id for item_id, is_fresh in zip(ids, fresh, strict=True) if is_fresh]
        for rows in (activity, covisits):
            np.maximum.at(self.passed, rows["source"], rows["offset"] + 1)
        self.duplicates += len(fresh) - len(ids)
        self.item_ids += ids
        self.activity.append(activity[fresh])
        self.covisits.append(covisits[fresh_covisits])


@dataclass(frozen=True, slots=True)
class FoldedDeltas:
    """A round, folded: dead letters to produce, then partitions to write."""

    letters: list[Record]
    writes: list[Write]
    applied: int
    duplicates: int


class ItemShell(FoldShell[FoldedDeltas]):
    """Folds `item-deltas` into the item records and the transitions."""

    name = "items"

    @property
    def topic(self) -> str:
        """The topic of item deltas."""
        return self.context.topics.item_deltas

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.item_position(partition)

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
                applied=len(found_rows.item_ids),
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
        applied = sum(len(each.item_ids) for each in rows.values())
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

    async def _fold_items(self, rows: dict[int, _Rows]) -> dict[int, dict[str, bytes]]:
        """Return the new item records of each partition."""
        owners = {item_id: p for p, each in rows.items() for item_id in each.item_ids}
        row_of = {item_id: row for row, item_id in enumerate(owners)}
        before = await self._load(self.context.keys.items, owners)
        item = [row_of[item_id] for each in rows.values() for item_id in each.item_ids]
        parts = [part for each in rows.values() for part in each.activity]
        activity = np.concatenate(parts or [np.empty(0, ACTIVITY_DTYPE)])
        after = fold_items(unpack_items(before), np.array(item, np.int64), activity)
        changed: dict[int, dict[str, bytes]] = {partition: {} for partition in rows}
        for (item_id, owner), blob in zip(owners.items(), pack_items(after), strict=True):
            changed[owner][item_id] = self._states[owner].records[item_id] = blob
        return changed

    async def _fold_covisits(self, rows: dict[int, _Rows]) -> dict[int, dict[str, bytes]]:
        """Return the new transitions of each partition, by the decimal hash of the item."""
        changed: dict[int, dict[str, bytes]] = {partition: {} for partition in rows}
        merged = {p: np.concatenate(each.covisits) for p, each in rows.items() if each.covisits}
        owners = {item: p for p, each in merged.items() for item in each["previous"].tolist()}
        if not owners:
            return changed
        row_of = {item: row for row, item in enumerate(owners)}
        loaded = await self._load(self.context.keys.covisits, owners)
        before = [blob or b"" for blob in loaded]
        transitions = np.concatenate(list(merged.values()) or [np.empty(0, COVISIT_ROW_DTYPE)])
        item_rows = np.array([row_of[item] for item in transitions["previous"].tolist()], np.int64)
        half_life_s = self.context.settings.covisit_half_life_s
        after = fold_covisits(before, item_rows, transitions, half_life_s)
        for (item, owner), old, new in zip(owners.items(), before, after, strict=True):
            if new is not old:
                changed[owner][str(item)] = self._states[owner].records[item] = new
        return changed

    async def _load(
        self, key_of: Callable[[int], str], owners: Mapping[Any, int]
    ) -> list[bytes | None]:
        """Return the records of items, reading those that are not cached."""
        missing: dict[int, list[Any]] = {}
        for name, owner in owners.items():
            if name not in self._states[owner].records:
                missing.setdefault(owner, []).append(name)
        reads = [
            self.context.store.fields(key_of(owner), [str(name) for name in names])
            for owner, names in missing.items()
        ]
        for (owner, names), blobs in zip(
            missing.items(), await asyncio.gather(*reads), strict=True
        ):
            found = {name: blob for name, blob in zip(names, blobs, strict=True) if blob}
            self._states[owner].records.update(found)
        return [self._states[owner].records.get(name) for name, owner in owners.items()]

    async def _write(self, folded: FoldedDeltas) -> None:
        await self._deliver(folded.letters)
        with APPLY_DURATION.labels(self.name).time():
            await self.context.store.apply(folded.writes)
        EVENTS_APPLIED.labels(self.name).inc(folded.applied)
        EVENTS_DUPLICATE.labels("offset").inc(folded.duplicates)


def _write_of(
    keys: Keys, partition: int, move: Move, items: dict[str, bytes], covisits: dict[str, bytes]
) -> Write:
    return Write(
        move,
        [
            Changes(keys.items(partition), items),
            Changes(keys.covisits(partition), covisits),
        ],
        {"items": list(items), "covisits": [int(item) for item in covisits]},
    )
