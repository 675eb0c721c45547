"""The timeline: event time to wall clock."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.timeline import Timeline, parse_speed


@given(st.floats(0.01, 1e6), st.integers(0, 10**12), st.integers(0, 10**9), st.floats(0, 1e6))
def test_an_event_is_due_its_distance_from_the_first_one_divided_by_the_speed(
    speed: float, first_ts_ms: int, after_ms: int, started_s: float
) -> None:
    """Later events are never due earlier."""
    timeline = Timeline(speed, first_ts_ms, started_s)
    due_s = timeline.due_s(first_ts_ms + after_ms)
    assert due_s == pytest.approx(started_s + after_ms / 1000 / speed)
    assert due_s >= timeline.due_s(first_ts_ms)


def test_what_is_older_than_the_first_event_is_due_at_once() -> None:
    """A log need not be sorted."""
    assert Timeline(2.0, 5000, 10.0).due_s(0) == 10.0


@pytest.mark.parametrize("text", ["0", "-1", "fast", "", "nan", "inf", "1e3", "MAX"])
def test_a_strange_speed_is_refused(text: str) -> None:
    """The sentence says what a speed is."""
    with pytest.raises(ValueError, match="expected max or a number above 0"):
        parse_speed(text)


def test_speeds_are_read() -> None:
    """Whole, broken and unbounded."""
    assert (parse_speed("3600"), parse_speed("0.5"), parse_speed("max")) == (3600.0, 0.5, inf)
