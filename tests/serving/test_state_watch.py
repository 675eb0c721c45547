"""Whether the state is behind: records wait, and nobody applies them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import ServiceError
from freshet.core.progress import FoldProgress
from serving import state_watch
from serving.state_watch import BEHIND_AFTER_S, StateWatch
from tests.serving.conftest import until

IDLE = FoldProgress([{"next": 5}, {"next": 0}], np.zeros(2, np.int64), np.array([5, 0]))


def progress(positions: Sequence[int], ends: Sequence[int], start: int = 0) -> FoldProgress:
    """Return the progress of a fold."""
    starts = np.full(len(ends), start, np.int64)
    return FoldProgress([{"next": each} for each in positions], starts, np.array(ends, np.int64))


class Clock:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> StateWatch:
    return StateWatch(lambda: {}, clock)


def look(watch: StateWatch, clock: Clock, users: FoldProgress, items: FoldProgress = IDLE) -> bool:
    """Look a second later, and return whether the state is behind."""
    clock.now_s += 1.0
    watch.note({"users": users, "items": items})
    return watch.behind


def test_records_that_nobody_applies_make_the_state_old(watch: StateWatch, clock: Clock) -> None:
    """After some seconds; until they are applied."""
    found = [look(watch, clock, progress([7, 3], [9, 3])) for _ in range(10)]
    assert found == [seconds > BEHIND_AFTER_S for seconds in range(10)]
    assert look(watch, clock, progress([8, 3], [9, 3])) is False
    assert look(watch, clock, progress([9, 3], [9, 3])) is False
    assert watch.standstill_s == 0


def test_one_partition_of_many_is_enough(watch: StateWatch, clock: Clock) -> None:
    """One of two workers is gone: half of the users get no further. Of either fold."""
    for second in range(8):
        behind = look(watch, clock, progress([second, 3], [99, 4]))
    assert behind
    other = StateWatch(lambda: {}, clock)
    for second in range(8):
        behind = look(other, clock, IDLE, progress([second, 3], [99, 4]))
    assert behind


def test_a_replay_at_full_speed_is_not_behind(watch: StateWatch, clock: Clock) -> None:
    """Whatever waits: it moves."""
    for second in range(30):
        end = 1_000_000 + 9_000 * second
        assert not look(watch, clock, progress([1_000 * second, 900 * second], [end, end]))


def test_an_idle_installation_is_not_behind(watch: StateWatch, clock: Clock) -> None:
    """Nothing waits, with a position or without, or after the log has dropped what was old."""
    for _ in range(30):
        assert not look(watch, clock, progress([7, 0], [7, 0]))
        assert not look(watch, clock, progress([7, 0], [9, 9], start=9))


def test_it_never_began_is_behind_too(watch: StateWatch, clock: Clock) -> None:
    """No worker was ever started: there is no position at all."""
    nothing = FoldProgress([{}, {}], np.zeros(2, np.int64), np.array([3, 0]))
    assert [look(watch, clock, nothing) for _ in range(8)][-1]


def test_a_time_in_which_nobody_looked_counts_for_nothing(watch: StateWatch, clock: Clock) -> None:
    """Kafka was away, or this process was frozen: the worker gets its time afterwards."""
    waiting = progress([7, 3], [9, 3])
    look(watch, clock, waiting)
    clock.now_s += 100.0
    assert not look(watch, clock, waiting)
    for _ in range(7):
        behind = look(watch, clock, waiting)
    assert behind


async def test_a_look_that_fails_changes_nothing(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks on; a service that does not answer is reported elsewhere."""
    monkeypatch.setattr(state_watch, "LOOK_EVERY_S", 0.0)
    looks = 0

    def failing() -> Mapping[str, Any]:
        nonlocal looks
        looks += 1
        if looks % 2:
            raise ServiceError("kafka", "down")
        clock.now_s += 1.0
        return {"users": progress([7], [9]), "items": IDLE}

    watch = StateWatch(failing, clock)
    running = asyncio.create_task(watch.run())
    await until(lambda: watch.behind)
    running.cancel()
