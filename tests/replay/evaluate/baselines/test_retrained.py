"""A model is trained when a day begins, on what was before."""

from collections.abc import Callable

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from online_models.training.log import TrainingLog
from replay.evaluate.baselines.numbering import Numbering
from replay.evaluate.baselines.query import DECAY
from replay.evaluate.baselines.retrained import Moment, Retrained, mornings, training_moments
from replay.evaluate.request import Request

DAY_S = 86_400


class Spy:
    """Fits models that give each column its number plus 1, but the first one -1."""

    def __init__(self) -> None:
        self.trained_on: list[list[list[float]]] = []
        self.asked: list[tuple[list[int], list[float]]] = []

    def fit(self, counts: scipy.sparse.csr_matrix) -> "Spy":
        self.trained_on.append(counts.toarray().tolist())
        return self

    def scores(
        self, history: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        self.asked.append((history.tolist(), weights.tolist()))
        scores = np.arange(len(self.trained_on[-1][0])) + 1.0
        scores[0] = -1
        return scores


def test_of_several_moments_the_last_is_trained_at(make_log: Callable[..., TrainingLog]) -> None:
    """What is learned at once is trained on once, and on what came before the moment alone."""
    days = [0, 0, 0, 1, 2, 2, 2, 3]
    log = make_log([("a", "x", day * DAY_S) for day in days])
    counts, trainings = {}, {}
    for ends in ([8], [4], range(9), [8, 8]):
        spy = Spy()
        retrained = Retrained(log, spy.fit, [Moment(4, 3), Moment(8, 7)])
        for end in ends:
            retrained.learn(end)
        counts[tuple(ends)] = spy.trained_on
        trainings[tuple(ends)] = retrained.trainings
    assert trainings == {ends: len(trained_on) for ends, trained_on in counts.items()}
    assert counts[8,] == counts[8, 8] == [[[7.0]]]
    assert counts[4,] == [[[3.0]]]
    assert counts[tuple(range(9))] == [[[3.0]], [[7.0]]]


def test_days_on_which_the_visits_have_grown_enough(make_log: Callable[..., TrainingLog]) -> None:
    """By half since the last training: ten days of four visits; the log ends on a day far off."""
    log = make_log([("a", "x", day * DAY_S) for day in range(10) for _ in range(4)])
    assert mornings(log).tolist() == [*range(4, 44, 4)]
    assert mornings(log, growth=0.5).tolist() == [4, 8, 12, 20, 32]
    assert mornings(log, 4, growth=0.5).tolist() == [*range(4, 44, 4)]
    assert mornings(log, growth=100.0).tolist() == [4]


def test_a_small_log_is_trained_on_where_judging_begins(
    make_log: Callable[..., TrainingLog],
) -> None:
    """At the very event, on all before it, however few; then when the product is trained."""
    log = make_log([("a", f"x{number}", number) for number in range(20)])
    moments = training_moments(log, [8, 14])
    assert [moment for moment in moments if moment.known_from < 20] == [(8, 8), (14, 14)]
    spy = Spy()
    retrained = Retrained(log, spy.fit, moments)
    retrained.learn(7)
    assert retrained.trainings == 0
    retrained.learn(8)
    assert retrained.trainings == 1
    assert spy.trained_on == [[[1.0] * 8]]
    retrained.learn(13)
    retrained.learn(19)
    assert spy.trained_on == [[[1.0] * 8], [[1.0] * 14]]


def test_without_visits_there_is_nothing_to_train_on(make_log: Callable[..., TrainingLog]) -> None:
    """And nothing is counted as a training."""
    spy = Spy()
    retrained = Retrained(make_log([]), spy.fit, [Moment(0, 0)])
    retrained.learn(0)
    assert (spy.trained_on, retrained.trainings) == ([], 0)


def test_a_new_day_is_known_by_its_first_event_alone(make_log: Callable[..., TrainingLog]) -> None:
    """The day of the event that is to be foreseen is not known yet."""
    spy = Spy()
    log = make_log([("a", "x", 0), ("a", "y", DAY_S)])
    retrained = Retrained(log, spy.fit, training_moments(log))
    retrained.learn(1)
    assert spy.trained_on == []
    retrained.learn(2)
    assert spy.trained_on == [[[1.0]]]


def test_a_model_is_asked_with_the_history_of_the_moment(
    make_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    """Visits since the training count, items that it has not seen do not; nor what scores below 0.

    "y", which the first two visited, is the one column that is on offer and above 0, or none is.
    """
    log = make_log(
        [
            *(("a", "x", 0), ("b", "x", 0), ("b", "y", 0), ("b", "y", 0), ("c", "z", 0)),
            *(("me", "new", DAY_S), ("me", "x", DAY_S), ("me", "newer", DAY_S), ("me", "?", DAY_S)),
        ]
    )
    numbering, spy = Numbering(log), Spy()
    retrained = Retrained(numbering.log, spy.fit, training_moments(numbering.log))
    request = numbering.request(request_at(log, 8))
    assert retrained.ranked(request, 5).tolist() == []
    retrained.learn(8)
    names = [numbering.log.items[row].item_id for row in retrained.ranked(request, 5)]
    columns = sorted("xyz", key=[item.item_id for item in numbering.log.items].index)
    assert spy.trained_on == [
        [[user.count(column) for column in columns] for user in ("x", "xyy", "z")]
    ]
    assert spy.asked == [([columns.index("x")], [DECAY])]
    assert names == [name for name in columns[:0:-1] if name != "x"]


def test_of_a_user_without_known_items_a_model_is_not_asked(
    make_log: Callable[..., TrainingLog], request_at: Callable[..., Request]
) -> None:
    log = make_log([("a", "x", 0), ("me", "new", DAY_S), ("me", "?", DAY_S), ("you", "?", DAY_S)])
    numbering, spy = Numbering(log), Spy()
    retrained = Retrained(numbering.log, spy.fit, training_moments(numbering.log))
    retrained.learn(2)
    for event in (2, 3):
        assert retrained.ranked(numbering.request(request_at(log, event)), 5).tolist() == []
    assert spy.asked == []
