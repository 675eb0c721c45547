"""The catalogue from Kafka into Redis: items put and deleted, in the order of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freshet.core.errors import EventError
from freshet.core.events.codec import decode_entry
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.metrics import EVENTS_APPLIED
from streams.fold_shell import FoldShell
from streams.packed import Packed
from streams.partition_events import WRONG_PARTITION
from streams.record_batch import RecordBatch
from streams.state_loss import Held
from streams.store import Changes, Move, Position, Write


@dataclass(frozen=True, slots=True)
class FoldedCatalog:
    """A round, folded: dead letters to produce, then partitions to write."""

    letters: list[Record]
    writes: list[Write]
    applied: int


class CatalogShell(FoldShell[FoldedCatalog, tuple[()]]):
    """Keeps the last value of every item id of `catalog`; a tombstone deletes."""

    name = "catalog"

    @property
    def topic(self) -> str:
        """The topic of the catalogue."""
        return self.context.topics.catalog

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.catalog_position(partition)

    def held(self, _partition: int) -> Held:
        """Return what is kept of a partition beside its position."""
        return Held()  # an entry is replaced whole: to apply one again changes nothing

    def _new_cache(self) -> tuple[()]:
        return ()  # entries are replaced whole, so none is ever read

    async def _fold(self, batches: Sequence[RecordBatch]) -> FoldedCatalog:
        letters: list[Record] = []
        writes, applied = [], 0
        for batch in batches:
            entries: dict[str, bytes | None] = {}
            rejected = 0
            for index, value in enumerate(batch.values):
                try:
                    entries[self._item_id(batch, index)] = value
                except EventError as error:
                    letters.append(self._dead_letter(batch, index, error))
                    rejected += 1
            state = self._states[batch.partition]
            count = len(batch) - rejected
            position = state.moved(batch.end, applied=count, rejected=rejected)
            writes.append(self._write_of(batch.partition, state.next, position, entries))
            state.position = position
            applied += count
        return FoldedCatalog(letters, writes, applied)

    async def _write(self, folded: FoldedCatalog) -> None:
        await self._deliver(folded.letters)
        await self._apply_writes(folded.writes)

    def _count(self, folded: FoldedCatalog) -> None:
        EVENTS_APPLIED.labels(self.name).inc(folded.applied)

    def _write_of(
        self, partition: int, expected: int, position: Position, entries: dict[str, bytes | None]
    ) -> Write:
        """Return what one script call will write; an entry of None deletes."""
        keys = self.context.keys
        put = {item_id: value for item_id, value in entries.items() if value is not None}
        gone = [item_id for item_id, value in entries.items() if value is None]
        changes = Changes(keys.catalog(partition), list(put), Packed.of(list(put.values())), gone)
        move = Move(self.position_key(partition), keys.item_changes(partition), expected, position)
        return Write(move, [changes], {"catalog": list(entries)})

    def _item_id(self, batch: RecordBatch, index: int) -> str:
        """Return the item that a record is about.

        Raises:
            EventError: the record cannot be used.
        """
        item_id, _ = decode_entry(batch.keys[index], batch.values[index])
        if partition_of(item_id, self.context.partitions) != batch.partition:
            raise EventError(WRONG_PARTITION, "the item belongs to another; use murmur2")
        return item_id
