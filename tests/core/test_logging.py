"""The log does not flood."""

import logging
import sys

import pytest

from freshet.core.logging import MaskingFormatter, RepeatFilter


def line(message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("a", level, "f", 1, message, None, None)


def test_a_warning_is_said_once_per_interval() -> None:
    """The line that passes next tells how many were held back."""
    now = [0.0]
    held = RepeatFilter(10, clock=lambda: now[0])
    assert [held.filter(line("away")) for _ in range(4)] == [True, False, False, False]
    assert held.filter(line("other"))
    now[0] = 10.0
    again = line("away")
    assert held.filter(again)
    assert again.getMessage() == "away (and 3 more like it)"


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_news_always_passes(level: int) -> None:
    """Only warnings and errors are held back."""
    held = RepeatFilter(10, clock=lambda: 0.0)
    assert all(held.filter(line("news", level)) for _ in range(5))


def test_a_line_shows_no_password() -> None:
    """Neither in the message nor in what was raised."""
    try:
        raise ValueError("redis://:s3cretPW@one")
    except ValueError:
        record = logging.LogRecord(
            "a", logging.ERROR, "f", 1, "lost %s", ("rediss://u:s3cretPW@one",), sys.exc_info()
        )
    text = MaskingFormatter("%(message)s").format(record)
    assert "s3cretPW" not in text
    assert "rediss://u:***@one" in text
