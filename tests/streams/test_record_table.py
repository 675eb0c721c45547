"""A table is a dictionary of records, in one array."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.record_table import UNKNOWN, RecordTable

DTYPE = np.dtype([("count", "<u4"), ("pair", "<u2", (2,))])
batches = st.lists(st.lists(st.integers(0, 400), max_size=300), max_size=6)


def records(counts: list[int]) -> np.ndarray:
    """One record per count."""
    found = np.zeros(len(counts), DTYPE)
    found["count"] = counts
    return found


def test_an_empty_table_knows_nothing() -> None:
    """And takes nothing out."""
    table = RecordTable(DTYPE)
    assert table.rows(["a"]).tolist() == [UNKNOWN]
    assert table.unknown(["a", "a"]) == ["a"]
    assert table.packed(table.rows([])).values() == []
    assert len(table) == 0


@given(batches)
def test_a_table_is_a_dictionary(log: list[list[int]]) -> None:
    """Counting names through it, batch by batch, gives what a dictionary counts."""
    table, slow = RecordTable(DTYPE), dict[str, int]()
    for batch in log:
        names = [f"n{each}" for each in batch]
        for name in names:
            slow[name] = slow.get(name, 0) + 1
        missing = table.unknown(names)
        table.add(missing, records([0] * len(missing)))
        rows, counts = np.unique(table.rows(names), return_counts=True)
        table.records["count"][rows] += counts.astype(np.uint32)
    rows = np.arange(len(table))
    found = table.records["count"][rows].tolist()
    assert dict(zip(table.names_of(rows), found, strict=True)) == slow


def test_records_are_packed_as_they_are() -> None:
    """In the order that is asked, one asked for twice twice."""
    table = RecordTable(DTYPE)
    table.add(["a", "b"], records([1, 2]))
    packed = table.packed(table.rows(["b", "a", "b"]))
    assert packed.values() == [each.tobytes() for each in records([2, 1, 2])]
