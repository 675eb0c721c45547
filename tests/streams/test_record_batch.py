"""Batches are cut without losing or moving a record."""

from hypothesis import given
from hypothesis import strategies as st

from streams.record_batch import RecordBatch


def batch(offsets: list[int], start: int) -> RecordBatch:
    keys = [str(at).encode() for at in offsets]
    return RecordBatch("t", 0, start, offsets, keys, keys, [at * 10 for at in offsets])


offsets = st.lists(st.integers(0, 50), min_size=1, unique=True).map(sorted)


@given(offsets, st.integers(1, 9))
def test_pieces_make_up_the_batch(at: list[int], size: int) -> None:
    """In order, each starting where the one before ended."""
    pieces = list(batch(at, 0).pieces(size))
    assert [offset for piece in pieces for offset in piece.offsets] == at
    assert all(len(piece) <= size for piece in pieces)
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]


@given(offsets, st.integers(0, 60))
def test_from_offset_keeps_what_comes_after(at: list[int], first: int) -> None:
    """Also where the log has holes, also when nothing is left."""
    rest = batch(at, 0).from_offset(first)
    assert rest.start == first
    assert list(rest.offsets) == [offset for offset in at if offset >= first]
    assert list(rest.values) == [str(offset).encode() for offset in rest.offsets]
    assert list(rest.ts_ms) == [offset * 10 for offset in rest.offsets]
