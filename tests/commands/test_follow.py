"""`freshet train --follow`: what is done when, and what is said of it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import click
import pytest

from freshet.commands import follow
from freshet.commands.follow import Cadence, CadenceType, progress_text


class Learning:
    """A follower that learns one example of each it is given."""

    def __init__(self) -> None:
        self.learner = SimpleNamespace(counts=Counter())
        self.published, self.refused, self.saved = 0, 0, 0

    def take(self, _: object) -> None:
        self.learner.counts["learned"] += 1

    def publish(self) -> str:
        self.published += 1
        return f"after {self.learner.counts['learned']}"

    def save(self) -> None:
        self.saved += 1


class Log:
    """Hands out so many examples at a time."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = list(sizes)
        self.lost, self.strange = 3, 0

    def poll(self, _timeout_s: float) -> range:
        return range(self._sizes.pop(0) if self._sizes else 0)

    def behind(self) -> int:
        return 1_234


def life(log: Log, every: Cadence, stop_after: int | None = None) -> tuple[Any, list[str]]:
    told: list[str] = []
    follower: Any = Learning()
    tell: Any = told.append
    any_log: Any = log
    return follow._Life(follower, any_log, every, stop_after, tell), told


def test_candidates_are_judged_by_the_number_of_examples() -> None:
    """Also in the middle of a fetch; the last one when it ends, and only if there is news."""
    one, told = life(Log(250, 0, 60), Cadence(examples=100))
    for _ in range(3):
        one.step()
    assert told == ["after 100", "after 200", "after 300"]
    one.end()
    assert told[3:] == ["after 310"]
    one.end()
    assert len(told) == 4
    assert one.follower.saved == 2


def test_candidates_are_judged_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while nothing was learned."""
    now_s = [0.0]
    monkeypatch.setattr(follow.time, "monotonic", lambda: now_s[0])
    one, told = life(Log(5, 0, 5, 0), Cadence(seconds=100))
    for now_s[0] in (50, 101, 150, 199, 250, 500):
        one.step()
    assert told == ["after 5", "after 10"]
    assert one.follower.saved > 2


def test_it_stops_after_so_many() -> None:
    """What a fetch brought beyond them is left for the next life."""
    one, _ = life(Log(250), Cadence(examples=1_000), stop_after=70)
    assert not one.over
    one.step()
    assert one.over
    assert one.learned == 70


@pytest.mark.parametrize("value", ["0", "-5", "5x", "m", "1.5m", ""])
def test_a_cadence_is_examples_or_a_duration(value: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(click.BadParameter, match="write 2000"):
        CadenceType().convert(value, None, None)


def test_the_line_says_what_was_lost() -> None:
    """And is silent on what did not happen."""
    follower: Any = Learning()
    log: Any = Log()
    follower.learner.counts.update(learned=5_000, skipped=8)
    assert progress_text(follower, log) == (
        "5,000 examples learned, 1,234 waiting, 0 published, 0 refused, 8 skipped, 3 lost"
    )
