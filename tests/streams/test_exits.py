"""Why a worker ended is written down where the next one reads it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from typing import NoReturn

import pytest

from freshet.core.errors import (
    EventError,
    LivenessError,
    PositionError,
    ServiceError,
    SettingError,
)
from streams.exits import EXIT_RESTART, EXIT_SETTING, REASONS, Ending, ExitCounts, reason_of


class LeftError(Exception):
    """Stands for the end of the process."""


def leave(code: int) -> NoReturn:
    raise LeftError(code)


@pytest.fixture
def counts() -> Iterator[ExitCounts]:
    with tempfile.TemporaryFile() as file:
        yield ExitCounts(file.fileno())


@pytest.fixture(autouse=True)
def _log_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "shutdown", lambda: None)


def test_nothing_noted_is_nothing_counted(counts: ExitCounts) -> None:
    """Also without a file."""
    assert not counts.read()
    nowhere = ExitCounts(None)
    nowhere.note("bug")
    assert not nowhere.read()


def test_each_end_is_counted_by_reason(counts: ExitCounts) -> None:
    """Whoever writes, and whoever reads in between."""
    for reason in ("kafka", "stalled", "kafka"):
        counts.note(reason)
        counts.read()
    assert counts.read() == {"kafka": 2, "stalled": 1}


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (ServiceError("redis", "away"), "redis", EXIT_RESTART),
        (ServiceError("a new one", "away"), "service", EXIT_RESTART),
        (PositionError("users-0", 1, 2), "position", EXIT_RESTART),
        (LivenessError("memory", "too much"), "memory", EXIT_RESTART),
        (SettingError("partitions", 1, "2"), "setting", EXIT_SETTING),
        (EventError("empty", "nothing"), "service", EXIT_RESTART),
        (ZeroDivisionError("oh"), "bug", EXIT_RESTART),
    ],
)
def test_an_error_ends_the_process_with_its_code_and_reason(
    counts: ExitCounts, error: Exception, reason: str, code: int
) -> None:
    """The reason is one of the bounded words."""
    assert reason_of(error) == reason
    assert reason in REASONS
    with pytest.raises(LeftError) as left:
        Ending(counts, leave)(error)
    assert left.value.args == (code,)
    assert counts.read() == {reason: 1}
