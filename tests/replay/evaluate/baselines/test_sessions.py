"""A session is what a user visits without a gap."""

from collections.abc import Callable

import numpy as np
import pytest

from online_models.training.log import TrainingLog
from replay.evaluate.baselines import sessions
from replay.evaluate.baselines.sessions import Sessions


def learned(log: TrainingLog, end: int) -> Sessions:
    found = Sessions(log, gap_s=10)
    found.learn(end)
    return found


def words(log: TrainingLog, found: Sessions, numbers: list[int]) -> list[str]:
    return [
        "".join(log.items[row].item_id for row in items if row >= 0)
        for items in found.items(np.array(numbers, np.int64))
    ]


def test_a_gap_ends_a_session_and_a_repetition_adds_nothing(
    make_log: Callable[..., TrainingLog],
) -> None:
    """A gap of just the length does not; the repetition keeps the session open."""
    times = [0, 10, 20, 30.001]
    log = make_log([("a", item, ts) for item, ts in zip("xyxz", times, strict=True)])
    found = learned(log, 4)
    assert words(log, found, [0, 1]) == ["xy", "z"]
    assert (found.last_ms(np.array([0, 1])) - log.ts_ms[0]).tolist() == [20_000, 30_001]
    assert found.of_item(int(log.item[0])).tolist() == [0]


def test_a_full_session_is_followed_by_another(
    make_log: Callable[..., TrainingLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSION_LENGTH", 3)
    log = make_log([("a", item, 0) for item in "vwxyz"])
    assert words(log, learned(log, 5), [0, 1]) == ["vwx", "yz"]


def test_the_oldest_sessions_are_forgotten(
    make_log: Callable[..., TrainingLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a user whose session was forgotten begins another."""
    monkeypatch.setattr(sessions, "SESSIONS_KEPT", 2)
    log = make_log([("a", "x", 0), ("b", "x", 1), ("c", "x", 2), ("a", "y", 3)])
    x = int(log.item[0])
    assert learned(log, 3).of_item(x).tolist() == [1, 2]
    found = learned(log, 4)
    assert found.of_item(x).tolist() == [2]
    assert words(log, found, [2, 3]) == ["x", "y"]


def test_an_item_remembers_its_last_sessions(
    make_log: Callable[..., TrainingLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_OF_ITEM", 2)
    log = make_log([("a", "x", 0), ("b", "x", 1), ("c", "x", 2)])
    assert learned(log, 3).of_item(int(log.item[0])).tolist() == [1, 2]
