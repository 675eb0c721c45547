"""Item deltas from Kafka into item records and transitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, UNDECODABLE
from freshet.core.events.producer import Record
from freshet.core.metrics import APPLY_DURATION, EVENTS_DUPLICATE
from freshet.core.state.records import pack_items, unpack_items
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE, decode_deltas
from streams.fold_shell import FoldShell
from streams.item_fold import fold_covisits, fold_items
from streams.partition_state import PartitionState
from streams.record_batch import RecordBatch
from streams.store import FieldChanges, Position

SOURCE_PREFIX = "source:"


@dataclass(slots=True)
class _Rows:
    """Rows of several messages, of which none was applied before."""

    position: Position
    item_ids: list[str] = field(default_factory=list)
    activity: list[NDArray[Any]] = field(default_factory=list)
    covisits: list[NDArray[Any]] = field(default_factory=list)
    duplicates: int = 0

    def add(self, raw: bytes) -> None:
        """Add the rows of a message that lie behind the position of their source."""
        deltas = decode_deltas(raw)
        source = f"{SOURCE_PREFIX}{deltas.source}"
        passed = self.position.get(source, 0)
        activity, covisits = deltas.activity_rows(), deltas.covisit_rows()
        ids = deltas.item_ids
        ends = [int(rows["offset"][-1]) + 1 for rows in (activity, covisits) if len(rows)]
        if not ends:
            return
        if min(int(r["offset"][0]) for r in (activity, covisits) if len(r)) < passed:
            fresh = activity["offset"] >= passed
            self.duplicates += int(len(fresh) - fresh.sum())
            ids = [item_id for item_id, is_fresh in zip(ids, fresh, strict=True) if is_fresh]
            activity, covisits = activity[fresh], covisits[covisits["offset"] >= passed]
        self.position[source] = max(passed, *ends)
        self.item_ids += ids
        self.activity.append(activity)
        self.covisits.append(covisits)


class ItemShell(FoldShell):
    """Folds `item-deltas` into the item records and the transitions."""

    name = "items"

    @property
    def topic(self) -> str:
        """The topic of item deltas."""
        return self.context.topics.item_deltas

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.item_position(partition)

    async def _apply(self, state: PartitionState, batch: RecordBatch) -> None:
        for records in _pieces(batch, self.context.settings.batch_events):
            rows = _Rows(dict(state.position))
            letters = self._read(records, rows)
            await self._deliver(letters)
            await self._write(state, records, rows, len(letters))

    def _read(self, records: RecordBatch, rows: _Rows) -> list[Record]:
        letters = []
        for index, raw in enumerate(records.values):
            try:
                rows.add(raw or b"")
            except (msgspec.DecodeError, ValueError) as error:
                reason = UNDECODABLE if raw else EMPTY
                letters.append(self._dead_letter(records, index, EventError(reason, str(error))))
        return letters

    async def _write(
        self, state: PartitionState, records: RecordBatch, rows: _Rows, rejected: int
    ) -> None:
        keys, partition = self.context.keys, records.partition
        items = await self._fold_items(state, keys.items(partition), rows)
        covisits = await self._fold_covisits(state, keys.covisits(partition), rows)
        state.position = rows.position
        position = state.moved(
            records.end,
            applied=len(rows.item_ids),
            duplicates=rows.duplicates,
            rejected=rejected,
        )
        with APPLY_DURATION.labels(self.name).time():
            await self.context.store.apply_fields(
                self.position_key(partition),
                keys.item_changes(partition),
                state.next,
                position,
                [
                    FieldChanges(keys.items(partition), items),
                    FieldChanges(keys.covisits(partition), covisits),
                ],
                {"items": list(items), "covisits": [int(item) for item in covisits]},
            )
        state.position = position
        EVENTS_DUPLICATE.labels("offset").inc(rows.duplicates)
        self._applied(state, records, len(rows.item_ids))

    async def _fold_items(self, state: PartitionState, key: str, rows: _Rows) -> dict[str, bytes]:
        row_of: dict[str, int] = {}
        item = [row_of.setdefault(item_id, len(row_of)) for item_id in rows.item_ids]
        if not row_of:
            return {}
        ids = list(row_of)
        before = await self._read_fields(state, key, ids, ids)
        activity = np.concatenate(rows.activity or [np.empty(0, ACTIVITY_DTYPE)])
        after = fold_items(unpack_items(before), np.array(item, np.int64), activity)
        packed = dict(zip(ids, pack_items(after), strict=True))
        state.records.update(packed)
        return packed

    async def _fold_covisits(
        self, state: PartitionState, key: str, rows: _Rows
    ) -> dict[str, bytes]:
        transitions = np.concatenate(rows.covisits or [np.empty(0, COVISIT_ROW_DTYPE)])
        if not len(transitions):
            return {}
        previous, item = np.unique(transitions["previous"], return_inverse=True)
        hashes = previous.tolist()
        names = [str(item_hash) for item_hash in hashes]
        before = [blob or b"" for blob in await self._read_fields(state, key, hashes, names)]
        half_life_s = self.context.settings.covisit_half_life_s
        after = fold_covisits(before, item, transitions, half_life_s)
        state.records.update(dict(zip(hashes, after, strict=True)))
        return {
            name: new for name, old, new in zip(names, before, after, strict=True) if new is not old
        }

    async def _read_fields(
        self, state: PartitionState, key: str, cache_keys: list[Any], names: list[str]
    ) -> list[bytes | None]:
        """Return records from the cache, and from Redis what is not in it."""
        missing = [row for row, name in enumerate(cache_keys) if name not in state.records]
        found = await self.context.store.fields(key, [names[row] for row in missing])
        state.records.update(
            {cache_keys[row]: blob for row, blob in zip(missing, found, strict=True) if blob}
        )
        return [state.records.get(name) for name in cache_keys]


def _pieces(batch: RecordBatch, most_events: int) -> Iterator[RecordBatch]:
    """Cut a batch so that each piece holds about `most_events` rows of activity.

    A message holds the rows of one source batch, and a row of activity takes about its type's
    and its item's worth of bytes; 40 is a low guess, which makes pieces small.
    """
    size = sum(len(value or b"") for value in batch.values)
    per_message = max(size / len(batch) / 40, 1)
    return batch.pieces(max(int(most_events / per_message), 1))
