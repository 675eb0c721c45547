"""Finds of the sources and their union."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.features import RANK_SOFTENING, SOURCE_WEIGHTS, SOURCES
from serving.sources.found import Found, fuse

ROWS = st.lists(st.integers(0, 30), unique=True, max_size=20)


def _found(rows: list[int]) -> Found:
    scores = np.linspace(1, 0.1, len(rows), dtype=np.float32)
    return Found.of(np.array(rows, np.int64), scores)


def _finds(**rows: list[int]) -> list[Found]:
    """Finds of some sources; the others found nothing."""
    return [_found(rows.get(source, [])) for source in SOURCES]


def _slow(lists: list[list[int]]) -> dict[int, float]:
    fused: dict[int, float] = {}
    for weight, rows in zip(SOURCE_WEIGHTS, lists, strict=True):
        for rank, row in enumerate(rows):
            fused[row] = fused.get(row, 0.0) + weight / (RANK_SOFTENING + rank)
    return fused


def test_nothing_found_is_an_empty_union() -> None:
    """No candidates, and no error."""
    union = fuse([Found.nothing()] * len(SOURCES))
    assert len(union) == 0
    assert union.best_source().tolist() == []


@given(st.lists(ROWS, min_size=len(SOURCES), max_size=len(SOURCES)))
def test_the_fusion_is_the_sum_of_weighted_reciprocal_ranks(lists: list[list[int]]) -> None:
    """As the slow and obvious twin adds them up, best first."""
    union = fuse([_found(rows) for rows in lists])
    slow = _slow(lists)
    assert set(union.rows.tolist()) == set(slow)
    np.testing.assert_allclose(union.fused, [slow[row] for row in union.rows.tolist()])
    assert (np.diff(union.fused) <= 0).all()
    for column, rows in enumerate(lists):
        for index, row in enumerate(union.rows.tolist()):
            assert union.ranks[index, column] == (rows.index(row) if row in rows else -1)


def test_rows_may_be_candidates_without_a_source() -> None:
    """They come last, with no rank and no score."""
    union = fuse(_finds(popular=[4, 2]), also=np.array([2, 9]))
    assert union.rows.tolist() == [4, 2, 9]
    assert union.fused[2] == 0
    assert union.ranks[2].tolist() == [-1] * len(SOURCES)


def test_a_candidate_is_credited_to_its_strongest_source() -> None:
    """The first of the session beats the third of popular."""
    union = fuse(_finds(session=[7], popular=[1, 2, 7]))
    assert SOURCES[union.best_source()[union.rows.tolist().index(7)]] == "session"
    assert SOURCES[union.best_source()[union.rows.tolist().index(1)]] == "popular"


def test_taking_some_keeps_their_columns_together() -> None:
    """In the order that is asked for."""
    union = fuse(_finds(session=[5, 6, 7]))
    taken = union.take(np.array([2, 0]))
    assert taken.rows.tolist() == [7, 5]
    assert taken.ranks[:, 0].tolist() == [2, 0]
