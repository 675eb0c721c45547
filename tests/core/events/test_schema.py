"""The tables of event types agree with one another, and few stars are a dislike."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.schema import (
    ENCODED,
    EVENT_TYPES,
    INTERACTION,
    PREFERENCE,
    REJECTION,
    TAKES_BACK,
    TREND_WEIGHT,
    TYPE_CODES,
    VISIT,
    effective_type,
    effective_types,
)

RATING, DISLIKE = TYPE_CODES["rating"], TYPE_CODES["dislike"]


def _named(table: np.ndarray) -> set[str]:
    return {name for name, so in zip(EVENT_TYPES, table, strict=True) if so}


def test_new_types_stand_behind_the_old_ones() -> None:
    """Records count by the index, and a slot of a history has 4 bits for it."""
    assert EVENT_TYPES[9:] == ("rating", "report", "skip", "share", "follow")
    assert len(EVENT_TYPES) <= 16


def test_rejections_and_what_takes_them_back_are_apart() -> None:
    """A skip is neither."""
    assert _named(REJECTION) == {"dislike", "hide", "report"}
    assert _named(TAKES_BACK) == {"like", "cart", "purchase", "rating", "share", "follow"}


def test_nothing_that_is_rejected_or_skipped_is_a_visit_a_trend_or_read_by_an_encoder() -> None:
    """Whatever pushes away never brings near."""
    pushes = PREFERENCE < 0
    assert _named(pushes) == _named(REJECTION) | {"skip"}
    assert not (pushes & VISIT).any()
    assert not (pushes & (TREND_WEIGHT > 0)).any()
    assert not (pushes & ENCODED).any()
    assert _named(ENCODED) == _named(INTERACTION & ~pushes)
    assert PREFERENCE[TYPE_CODES["report"]] == PREFERENCE.min()


@pytest.mark.parametrize(
    ("kind", "value", "low_rating", "expected"),
    [
        ("rating", None, 2.0, "rating"),
        ("rating", math.nan, 2.0, "rating"),
        ("rating", 2.0, 2.0, "dislike"),
        ("rating", 2.001, 2.0, "rating"),
        ("rating", 0.0, 2.0, "dislike"),
        ("rating", -3.0, 2.0, "dislike"),
        ("rating", -math.inf, 2.0, "dislike"),
        ("rating", math.inf, 2.0, "rating"),
        ("rating", 4.0, 4.0, "dislike"),
        ("rating", 0.0, -1.0, "rating"),
        ("click", 0.0, 2.0, "click"),
        ("dwell", 1.0, 2.0, "dwell"),
        ("purchase", -1.0, 2.0, "purchase"),
    ],
)
def test_few_stars_are_a_dislike(
    kind: str, value: float | None, low_rating: float, expected: str
) -> None:
    """Of a rating alone, up to the threshold; what is no number changes nothing."""
    assert EVENT_TYPES[effective_type(TYPE_CODES[kind], value, low_rating)] == expected


@given(
    st.lists(st.tuples(st.sampled_from(range(len(EVENT_TYPES))), st.none() | st.floats())),
    st.floats(-10, 10),
)
def test_many_events_are_taken_as_each_is(
    rows: list[tuple[int, float | None]], low_rating: float
) -> None:
    """The vectorised function is the scalar one, row by row."""
    kinds = np.array([kind for kind, _ in rows], np.uint8)
    values = np.array([math.nan if value is None else value for _, value in rows], np.float64)
    expected = [effective_type(kind, value, low_rating) for kind, value in rows]
    assert effective_types(kinds, values, low_rating).tolist() == expected
