"""What several ask is computed once, for as long as nothing has changed."""

from collections.abc import Callable

import numpy as np

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.memo import Memo
from replay.evaluate.request import Request, Rows


class Counting:
    """A ranking that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.learned: list[int] = []

    def learn(self, end: int) -> None:
        self.learned.append(end)

    def ranked(self, request: Request, k: int) -> Rows:
        self.asked += 1
        return np.arange(k) + self.asked


def test_one_request_is_answered_once(
    random_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """However many are wanted; another request and further events are answered anew."""
    ranking = Counting()
    memo, log = Memo(ranking), random_log(1)
    request = request_at(log, 50)
    memo.learn(50)
    assert memo.ranked(request, 2).tolist() == [1, 2]
    memo.learn(50)
    assert memo.ranked(request, 3).tolist() == [1, 2, 3]
    other = request_at(log, 50)
    assert memo.ranked(other, 2).tolist() == [2, 3]
    memo.learn(51)
    assert memo.ranked(other, 2).tolist() == [3, 4]
    assert ranking.learned == [50, 50, 51]
