"""Fetched records as columns: aiokafka's unpacking without an object for each record.

Stock aiokafka makes a `ConsumerRecord` of 11 fields for every record, in Python; that costs more
than decoding the event in it. Nothing of ours looks at more than four of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException


@dataclass(slots=True)
class FetchedRecords:
    """The records of one partition in one answer of a broker, in the order of their offsets.

    Attributes:
        start: the offset that was asked for.
        end: the offset that is asked for next.
    """

    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    ts_ms: list[int] = field(default_factory=list)
    start: int = -1
    end: int = -1

    def drop_before(self, offset: int) -> None:
        """Drop what was not asked for: a broker answers with whole batches."""
        skip = bisect_left(self.offsets, offset)
        if skip:
            for column in (self.offsets, self.keys, self.values, self.ts_ms):
                del column[:skip]


class PartitionColumns(fetcher.PartitionRecords):
    """Unpacks an answer of the broker in one step, as one `FetchedRecords`."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[FetchedRecords]:
        start = self.next_fetch_offset
        found = FetchedRecords()
        add_offset, add_key = found.offsets.append, found.keys.append
        add_value, add_ts = found.values.append, found.ts_ms.append
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._is_taken_back(batch) and not batch.is_control_batch:
                for record in batch:
                    add_offset(record.offset)
                    add_key(record.key)
                    add_value(record.value)
                    add_ts(record.timestamp)
            # Compaction may have taken the last records of a batch: go on behind it all the same.
            self.next_fetch_offset = batch.next_offset
        found.drop_before(start)
        found.start, found.end = start, self.next_fetch_offset
        if found.offsets:
            yield found

    def _is_taken_back(self, batch: Any) -> bool:
        """Return whether a batch is of a transaction that was aborted; keeps count of them.

        As the stock class does it: the answer of a broker names producer and first offset of each,
        and a marker in the log is where it ends.
        """
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return batch.is_transactional and batch.producer_id in self._aborted_producers
