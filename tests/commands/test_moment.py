"""Moments on the command line."""

import click
import pytest

from freshet.commands.moment import Moment


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("now", 7),
        ("1764000000000", 1_764_000_000_000),
        ("2025-11-24T16:00:00Z", 1_764_000_000_000),
        ("2025-11-24 16:00", 1_764_000_000_000),
        ("2025-11-24T17:00:00+01:00", 1_764_000_000_000),
        ("1997-09-20", 874_713_600_000),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str, ts_ms: int) -> None:
    """Whatever the zone of the machine."""
    assert Moment(lambda: 7).convert(text, None, None) == ts_ms


@pytest.mark.parametrize("text", ["soon", "1764000000", "2025-13-01", "", "1970-01-01"])
def test_what_is_none_is_a_usage_error(text: str) -> None:
    """Seconds, too."""
    with pytest.raises(click.BadParameter, match="is no moment from 1990"):
        Moment().convert(text, None, None)
