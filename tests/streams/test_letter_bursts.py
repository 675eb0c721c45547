"""A burst of dead letters is a line in the log, with its number and its first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshet.core.events.dead_letter import DeadLetter, Origin
from streams.letter_bursts import FIRST_S, LONGEST_S, LetterBursts


class Later:
    """A loop whose time is moved by hand."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> object:
        self.calls.append((seconds, call))
        return call

    def pass_by(self) -> float:
        """Let the next call come; return how long it waited."""
        ((seconds, call),) = self.calls
        self.calls.clear()
        call()
        return seconds


def letters(number: int, reason: str = "invalid", first: int = 0) -> list[DeadLetter]:
    return [
        DeadLetter(Origin("t.events", 1, first + each), reason, f"why {each}", None, None)
        for each in range(number)
    ]


def test_a_burst_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Of 817 letters in many rounds: the number, the reasons, the first, and where to look."""
    later = Later()
    bursts = LetterBursts(later)
    bursts.note([])
    assert later.calls == []
    for first in range(0, 800, 100):
        bursts.note(letters(100, first=first))
    bursts.note(letters(17, "empty"))
    assert not caplog.records
    assert later.pass_by() == FIRST_S
    (record,) = caplog.records
    for words in ("817 records", "800 invalid", "17 empty", "t.events-1-0", "why 0", "freshet dlq"):
        assert words in record.getMessage()


def test_while_more_come_the_lines_become_rarer(caplog: pytest.LogCaptureFixture) -> None:
    """And after a quiet while the next burst is reported soon again."""
    later = Later()
    bursts = LetterBursts(later)
    waits = []
    for _ in range(9):
        bursts.note(letters(1))
        waits.append(later.pass_by())
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == LONGEST_S
    assert len(caplog.records) == 9
    later.pass_by()
    assert later.calls == []
    bursts.note(letters(1))
    assert later.pass_by() == FIRST_S


def test_what_was_not_logged_is_logged_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Once."""
    bursts = LetterBursts(Later())
    bursts.note(letters(3))
    bursts.report()
    bursts.report()
    assert len(caplog.records) == 1
