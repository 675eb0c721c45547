"""The catalogue from Kafka into Redis: items put and deleted, in the order of the log."""

from __future__ import annotations

from freshet.core.errors import EventError
from freshet.core.events.codec import EMPTY, INVALID, decode_item
from freshet.core.events.partition import partition_of
from freshet.core.metrics import APPLY_DURATION
from streams.fold_shell import FoldShell
from streams.partition_state import PartitionState
from streams.record_batch import RecordBatch
from streams.store import FieldChanges
from streams.user_shell import WRONG_PARTITION


class CatalogShell(FoldShell):
    """Keeps the last value of every item id of `catalog`; a tombstone deletes."""

    name = "catalog"

    @property
    def topic(self) -> str:
        """The topic of the catalogue."""
        return self.context.topics.catalog

    def position_key(self, partition: int) -> str:
        """Return the HASH that holds the position."""
        return self.context.keys.catalog_position(partition)

    async def _apply(self, state: PartitionState, batch: RecordBatch) -> None:
        keys = self.context.keys
        for records in batch.pieces(self.context.settings.batch_events):
            entries: dict[str, bytes | None] = {}
            letters = []
            for index, value in enumerate(records.values):
                try:
                    entries[self._item_id(records, index)] = value
                except EventError as error:
                    letters.append(self._dead_letter(records, index, error))
            await self._deliver(letters)
            position = state.moved(records.end, applied=len(records) - len(letters))
            changes = FieldChanges(
                keys.catalog(records.partition),
                {item_id: value for item_id, value in entries.items() if value is not None},
                [item_id for item_id, value in entries.items() if value is None],
            )
            with APPLY_DURATION.labels(self.name).time():
                await self.context.store.apply_fields(
                    self.position_key(records.partition),
                    keys.item_changes(records.partition),
                    state.next,
                    position,
                    [changes],
                    {"catalog": list(entries)},
                )
            state.position = position
            self._applied(state, records, len(records) - len(letters))

    def _item_id(self, records: RecordBatch, index: int) -> str:
        """Return the item that a record is about.

        Raises:
            EventError: the record cannot be used.
        """
        key, value = records.keys[index], records.values[index]
        if not key:
            raise EventError(EMPTY, "the record has no key; the key is the item id")
        try:
            item_id = key.decode()
        except UnicodeDecodeError as error:
            raise EventError(INVALID, f"the key is not UTF-8: {error}") from error
        if value is not None and decode_item(value).item_id != item_id:
            raise EventError(INVALID, f"the key {item_id!r} is not the item_id of the value")
        if partition_of(item_id, self.context.partitions) != records.partition:
            raise EventError(WRONG_PARTITION, "the item belongs to another; use murmur2")
        return item_id
