"""What aiokafka unpacks record by record arrives in columns: the same records."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from streams.fetched_records import FetchedRecords, PartitionColumns

PARTITION = TopicPartition("t", 0)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def answer(codec: int, *batches: range) -> bytes:
    """The bytes of a fetch: batches of records at these offsets."""
    raw = b""
    for offsets in batches:
        builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
        for relative, offset in enumerate(offsets):
            value = b"v%d" % offset if offset % 3 else None
            builder.append(relative, 1000 + offset, b"k%d" % offset, value, [])
        built = bytearray(builder.build())
        built[:8] = offsets.start.to_bytes(8, "big")
        raw += built
    return raw


def unpack(kind: type[Any], raw: bytes, start: int, aborted: Any = None, level: int = 0) -> Any:
    """The records of an answer to a fetch from `start`."""
    return kind(PARTITION, MemoryRecords(raw), aborted, start, None, None, True, level)


def in_transaction(offsets: range, producer: int, marker: int | None = None) -> bytes:
    """A batch of a transaction; or the marker that ends one, 0 = aborted and 1 = committed."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1_000_000)
    for relative, offset in enumerate(offsets):
        key = b"k%d" % offset if marker is None else b"\0\0\0" + bytes([marker])
        builder.append(relative, 1000 + offset, key, b"v", [])
    built = bytearray(builder.build())
    built[:8] = offsets.start.to_bytes(8, "big")
    if marker is not None:
        built[22] |= 0x20  # a control batch
        built[17:21] = calc_crc32c(built[21:]).to_bytes(4, "big")
    return bytes(built)


ABORT, COMMIT = 0, 1
INTERLEAVED = (
    in_transaction(range(0, 3), 7)
    + in_transaction(range(3, 5), 8)
    + answer(0, range(5, 7))
    + in_transaction(range(7, 8), 7, ABORT)
    + in_transaction(range(8, 9), 8, COMMIT)
    + in_transaction(range(9, 11), 7)
    + in_transaction(range(11, 12), 7, COMMIT)
    + in_transaction(range(12, 14), 9)
    + in_transaction(range(14, 15), 9, ABORT)
)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_what_a_transaction_took_back_is_left_out(start: int) -> None:
    """Of several producers, one of which commits later; as the stock client has it."""
    aborted = [(9, 12), (7, 0)]
    ours = unpack(PartitionColumns, INTERLEAVED, start, list(aborted), READ_COMMITTED)
    stock = unpack(PartitionRecords, INTERLEAVED, start, list(aborted), READ_COMMITTED)
    expected = [offset for offset in (3, 4, 5, 6, 9, 10) if offset >= start]
    assert [record.offset for record in stock] == expected
    assert next(iter(ours), FetchedRecords()).offsets == expected
    assert ours.next_fetch_offset == stock.next_fetch_offset == 15


def test_without_read_committed_all_is_seen() -> None:
    """Markers are no records all the same."""
    ours = unpack(PartitionColumns, INTERLEAVED, 0, [(7, 0)])
    assert next(iter(ours)).offsets == [*range(7), 9, 10, 12, 13]


@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("start", [0, 1, 4])
def test_columns_are_the_records_of_the_stock_client(codec: str, start: int) -> None:
    """Of every codec, and where the first batch begins before what was asked for."""
    raw = answer(CODECS[codec], range(0, 5), range(5, 6), range(8, 12))
    stock = unpack(PartitionRecords, raw, start)
    records = list(stock)
    ours = unpack(PartitionColumns, raw, start)
    found = next(iter(ours), FetchedRecords())
    assert found.offsets == [record.offset for record in records]
    assert found.keys == [record.key for record in records]
    assert found.values == [record.value for record in records]
    assert found.ts_ms == [record.timestamp for record in records]
    assert ours.next_fetch_offset == stock.next_fetch_offset


def test_an_answer_without_news_moves_on() -> None:
    """Compaction may leave nothing of a batch but its end."""
    ours = unpack(PartitionColumns, answer(0, range(0, 5)), 5)
    assert list(ours) == []
    assert ours.next_fetch_offset == 5


def test_a_damaged_batch_is_an_error() -> None:
    """Never an event with other bytes."""
    raw = bytearray(answer(0, range(0, 5)))
    raw[-3] ^= 1
    with pytest.raises(CorruptRecordException):
        list(unpack(PartitionColumns, bytes(raw), 0))
