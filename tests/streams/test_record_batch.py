"""Batches are cut without losing or moving a record."""

from hypothesis import given
from hypothesis import strategies as st

from streams.record_batch import RecordBatch


def batch(offsets: list[int], start: int) -> RecordBatch:
    keys = [str(at).encode() for at in offsets]
    return RecordBatch("t", 0, start, offsets, keys, keys, [at * 10 for at in offsets])


offsets = st.lists(st.integers(0, 50), min_size=1, unique=True).map(sorted)


@given(offsets, st.integers(1, 9), st.integers(1, 20) | st.none())
def test_pieces_make_up_the_batch(at: list[int], size: int, most_bytes: int | None) -> None:
    """In order, each starting where the one before ended, none too large."""
    pieces = list(batch(at, 0).pieces(size, most_bytes))
    lengths = [sum(map(len, piece.keys)) for piece in pieces]  # as long as the values
    if most_bytes is None:
        assert all(len(piece) == size for piece in pieces[:-1])
    else:
        sizes = zip(pieces, lengths, strict=True)
        assert all(length <= most_bytes or len(piece) == 1 for piece, length in sizes)
    assert [offset for piece in pieces for offset in piece.offsets] == at
    assert all(len(piece) <= size for piece in pieces)
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]


@given(offsets, st.integers(1, 9), st.integers(1, 20) | st.none())
def test_what_begins_so_is_a_piece_by_itself(
    at: list[int], size: int, most_bytes: int | None
) -> None:
    """And nothing is lost, moved, or larger than it may be."""
    pieces = list(batch(at, 0).pieces(size, most_bytes, b"1"))
    assert [offset for piece in pieces for offset in piece.offsets] == at
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    for piece in pieces:
        apart = [value for value in piece.values if value and value.startswith(b"1")]
        assert len(piece) == 1 if apart else len(piece) <= size


@given(offsets, st.integers(0, 60))
def test_from_offset_keeps_what_comes_after(at: list[int], first: int) -> None:
    """Also where the log has holes, also when nothing is left."""
    rest = batch(at, 0).from_offset(first)
    assert rest.start == first
    assert list(rest.offsets) == [offset for offset in at if offset >= first]
    assert list(rest.values) == [str(offset).encode() for offset in rest.offsets]
    assert list(rest.ts_ms) == [offset * 10 for offset in rest.offsets]
