"""A table is a dictionary of records, in one array."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.record_table import UNKNOWN, RecordTable, joined

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
    assert len(table.take(table.rows([]))) == len(table) == 0


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
        found = table.take(rows)
        found["count"] += counts.astype(np.uint32)
        table.put(rows, found)
    rows = np.arange(len(table))
    assert dict(zip(table.names_of(rows), table.take(rows)["count"].tolist(), strict=True)) == slow


def test_what_was_taken_is_a_copy() -> None:
    """A fold may fail; the table is as it was."""
    table = RecordTable(DTYPE)
    table.add(["a", "b"], records([1, 2]))
    taken = table.take(table.rows(["b", "a"]))
    taken["count"] = 9
    assert table.take(table.rows(["a", "b"]))["count"].tolist() == [1, 2]


def test_arrays_are_joined_in_order() -> None:
    """Fields and all."""
    whole = joined([records([1]), records([]), records([2, 3])])
    assert whole["count"].tolist() == [1, 2, 3]
    assert whole.dtype == DTYPE
