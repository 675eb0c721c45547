"""Ranks alone decide."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.fusion import Fusion
from replay.evaluate.request import Request


class Fixed:
    """A ranking that is always the same."""

    def __init__(self, *rows: int) -> None:
        self.rows = rows
        self.learned = 0

    def learn(self, end: int) -> None:
        self.learned = end

    def ranked(self, request: Request, k: int) -> NDArray[np.int64]:
        return np.array(self.rows[:k], np.int64)


def test_what_both_know_comes_before_what_one_puts_first(
    random_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """Equals, here 7 and 9, in the order of the rows."""
    fused = Fusion(Fixed(9, 4, 5), Fixed(7, 5, 4))
    assert fused.ranked(request_at(random_log(1), 50), 9).tolist() == [4, 5, 7, 9]
    assert fused.ranked(request_at(random_log(1), 50), 3).tolist() == [4, 5, 7]


def test_nothing_known_is_nothing_fused(
    random_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """And all are told to learn."""
    rankings = Fixed(), Fixed()
    fused = Fusion(*rankings)
    fused.learn(7)
    assert [each.learned for each in rankings] == [7, 7]
    assert fused.ranked(request_at(random_log(1), 50), 20).tolist() == []
