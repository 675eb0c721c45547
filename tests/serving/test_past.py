"""The past of a user: how often, and how near to what they do now."""

import numpy as np
import pytest

from online_models.sources import visit_weights
from serving.past import REACH, Past

NOTHING = np.empty(0, np.int64)


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_the_past_is_what_the_history_does_not_hold() -> None:
    """Counted; items without a row are left out."""
    past = Past.of(rows(5, 3, -1, 5, 9), rows(3, 7, -1))
    assert past.rows.tolist() == [5, 9]
    assert past.times_at(rows(9, 3, 5, 4)).tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize("history", [NOTHING, rows(1, 2)])
def test_without_a_past_nothing_is_near(history: np.ndarray) -> None:
    """Nor when the history holds all of it."""
    for sequence in (NOTHING, history):
        past = Past.of(sequence, history)
        assert past.times_at(rows(1, 4)).tolist() == [0, 0]
        assert past.nearness([1]).tolist() == []


def test_what_stood_beside_the_last_visit_is_nearest() -> None:
    """Before it or after it, and nothing is near beyond the reach."""
    past = Past.of(rows(40, *range(20, 20 + REACH), 7, *range(10, 10 + REACH), 41), rows(7))
    near = dict(zip(past.rows.tolist(), past.nearness([7]), strict=True))
    for step in range(REACH):
        assert near[10 + step] == pytest.approx(1 / (2 + step))
        assert near[19 + REACH - step] == pytest.approx(1 / (2 + step))
    assert near[40] == near[41] == 0


def test_every_place_counts_and_newer_visits_for_more() -> None:
    """A sum over the places of both, as a slow twin makes it."""
    rng = np.random.default_rng(3)
    sequence, visits = rng.integers(0, 30, 200), [2, 3, 5, 7, 11]
    past = Past.of(sequence, rows(*visits))
    expected = np.zeros(30)
    for visit, weight in zip(visits, visit_weights(5), strict=True):
        for at in np.flatnonzero(sequence == visit):
            for place in range(max(at - REACH, 0), min(at + REACH + 1, 200)):
                expected[sequence[place]] += weight / (1 + abs(place - at))
    assert past.nearness(visits) == pytest.approx(expected[past.rows])
