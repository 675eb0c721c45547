"""The replay buffer: bounded, every answer of a day as likely, every day as large."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.features import FEATURES
from online_models.tasks import TASKS
from online_models.training.examined import Examined
from online_models.training.replay_buffer import ReplayBuffer

DAY_MS = 1_000


def answer(number: int, ts_ms: int = 0) -> Examined:
    """An answer of one slot that carries its number."""
    features = np.full((1, len(FEATURES)), number, np.float16)
    return Examined(ts_ms, features, np.zeros(1, np.int64), np.zeros((1, len(TASKS)), np.bool_))


def numbers(answers: list[Examined]) -> list[int]:
    return [int(each.features[0, 0]) for each in answers]


def test_an_empty_buffer_gives_nothing() -> None:
    """The first mini-batch is all new."""
    assert ReplayBuffer(5).draw(3, np.random.default_rng(0)) == []


def test_each_answer_of_a_day_is_as_likely_to_be_kept() -> None:
    """First or last: 3,000 runs; the bound is 5 standard deviations, false alarm under 1e-5."""
    runs, n, room = 3_000, 20, 5
    kept: Counter[int] = Counter()
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        buffer = ReplayBuffer(room, stratum_ms=DAY_MS)
        for number in range(n):
            buffer.add(answer(number), rng)
        assert len(buffer) == room
        kept.update(set(numbers(buffer.draw(200, rng))))
    expected = runs * room / n
    bound = 5 * np.sqrt(expected * (1 - room / n))
    assert all(abs(kept[number] - expected) < bound for number in range(n))


def test_a_flood_does_not_wash_out_the_day_before() -> None:
    """Half of what is drawn is of either."""
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(100, stratum_ms=DAY_MS)
    for number in range(50):
        buffer.add(answer(number), rng)
    for number in range(50, 1050):
        buffer.add(answer(number, DAY_MS), rng)
    drawn = numbers(buffer.draw(2_000, rng))
    assert 850 < sum(number < 50 for number in drawn) < 1_150
    assert len(buffer) == 100


def test_old_days_go() -> None:
    """And do not come back."""
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(100, stratum_ms=DAY_MS, most_strata=2)
    for day in (0, 1, 2):
        buffer.add(answer(day, day * DAY_MS), rng)
    buffer.add(answer(9, 0), rng)
    assert set(numbers(buffer.draw(100, rng))) == {1, 2}


@given(
    capacity=st.integers(1, 30),
    days=st.lists(st.integers(0, 5), max_size=80),
    seed=st.integers(0, 99),
)
def test_it_is_bounded_and_goes_on_from_its_state(
    capacity: int, days: list[int], seed: int
) -> None:
    """Whatever order the days come in."""
    rng = np.random.default_rng(seed)
    buffer = ReplayBuffer(capacity, stratum_ms=DAY_MS, most_strata=3)
    for number, day in enumerate(days):
        buffer.add(answer(number, day * DAY_MS), rng)
        assert len(buffer) <= max(capacity, 3)
    again = ReplayBuffer(capacity, stratum_ms=DAY_MS, most_strata=3)
    again.restore(buffer.state())
    for each in (buffer, again):
        later = np.random.default_rng(1)
        for number, day in enumerate(days):
            each.add(answer(number + 100, day * DAY_MS), later)
    drawn = [numbers(each.draw(50, np.random.default_rng(2))) for each in (buffer, again)]
    assert drawn[0] == drawn[1]
