"""Figures: simple counters are measured as a slow twin would, and bad news is told."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from online_models.features import FEATURES, SOURCES
from online_models.maths.accuracy import rank_of
from online_models.maths.classification import auc
from online_models.tasks import TASKS
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.labelled_rows import LabelledRows
from online_models.training.labels import NEVER
from online_models.training.log import TARGET, TrainingLog
from online_models.training.measure import (
    RECENT_EVENTS,
    counter_ranks,
    figures,
    remarks,
    slate_figures,
    task_figures,
)
from online_models.training.shown import Shown

pytestmark = pytest.mark.training


def test_counters_are_those_of_the_slow_twin(random_log: Callable[..., TrainingLog]) -> None:
    """Counted anew from the whole past at each request."""
    log = random_log(6, items=30)
    histories = Histories(log)
    events = histories.requests(100, 400, 25)
    batch = histories.before(events)
    found = counter_ranks(log, histories, events)
    for number, event in enumerate(events.tolist()):
        past = [e for e in range(event) if TARGET[log.kind[e]]]
        offered = histories.available(event)
        offered[batch.items[number][batch.mask[number]]] = False
        counts = np.bincount(log.item[past][-RECENT_EVENTS:], minlength=len(log.items)).astype(
            float
        )
        target = int(log.item[event])
        own = [e for e in past if log.user[e] == log.user[event]]
        scores = counts / (RECENT_EVENTS + 1)
        for user in range(log.n_users):
            theirs = [e for e in past if log.user[e] == user]
            for one, two in pairwise(theirs):
                if own and log.item[one] == log.item[own[-1]]:
                    scores[log.item[two]] += 1
        for name, expected in (("recent_popular", counts), ("last_item_transitions", scores)):
            masked = np.where(offered, expected, -np.inf)
            rank = rank_of(masked, target) if offered[target] else -1
            assert found[name][number] == rank


def candidates(target: int, followed_at: tuple[int, ...] = (NEVER,) * 3) -> Exposure:
    """Three candidates that `_Answers` are given."""
    return Exposure(
        0,
        target,
        np.zeros((3, len(FEATURES)), np.float16),
        np.zeros((3, len(SOURCES)), np.int16),
        followed_at,
    )


def test_tasks_are_measured_over_all_candidates() -> None:
    """Clicks, and what follows them given a click; what never happened has no figures.

    Three requests of three candidates: 3 (0.5 + 0.2 + 0.4) clicks are predicted of 2, and
    3 (0.1 + 0.1 + 0.2) dwells of 1. Of three responses two reject: 0.2 + 0.4 + 0.8 of 2.
    """
    predicted = torch.tensor([[0.5, 0.1, 0.1, 0.2], [0.2, 0.1, 0.1, 0.4], [0.4, 0.2, 0.1, 0.8]])
    exposures = [
        candidates(0),
        candidates(1, (5, NEVER, 5)),
        candidates(-1, (6, NEVER, 6)),
    ]
    rows = LabelledRows.of_candidates(exposures, [candidates(2)])
    found = task_figures(_Answers(torch.cat([predicted.repeat(3, 1), predicted[2:]])), rows)
    assert found["click"] == {
        "true": 2,
        "auc": round(auc(predicted[:, 0].repeat(3).numpy(), np.eye(9)[[0, 4]].sum(axis=0)), 4),
        "predicted_over_true": 1.65,
    }
    assert found["dwell"]["true"] == 1
    assert found["dwell"]["predicted_over_true"] == 1.2
    assert found["dwell"]["auc_given_click"] == 1
    assert found["negative"] == {"true": 2, "auc": 1, "predicted_over_true": 0.7}
    assert "conversion" not in found
    assert task_figures(_Answers(predicted), LabelledRows.of_candidates([])) == {}


def test_tasks_are_measured_on_what_was_shown_where_that_is_known() -> None:
    """All of them: a slate of 20 is clicked on in 4 places, and 2 of the clicks convert.

    As predicted: 20 * 0.2 clicks, and 20 * 0.2 * 0.5 conversions. Predicted of what is shown, but
    counted over the candidates of requests, they had been too many by the length of their lists.
    """
    labels = np.zeros((20, len(TASKS)), np.bool_)
    labels[:4, 0] = labels[:2, 2] = True
    shown = Shown(0, np.zeros((20, len(FEATURES)), np.float16), labels)
    predicted = torch.tensor([[0.2, 0.0, 0.1, 0.0]]).expand(20, -1)
    found = task_figures(_Answers(predicted), LabelledRows.of_shown([shown]))
    assert found.keys() == {"click", "conversion"}
    for task, true in (("click", 4), ("conversion", 2)):
        assert found[task]["true"] == true
        assert found[task]["predicted_over_true"] == 1.0


def test_clicks_are_told_from_the_rest_of_their_own_slate() -> None:
    """A slate that is clicked on more, or that has clicks alone, says nothing of that."""
    n = len(FEATURES)
    slates = [[True, False], [False, True], [True, True, True], [False]]
    shown = [
        Shown(
            0,
            np.full((len(each), n), number, np.float16),
            np.array(each)[:, None] & (np.arange(len(TASKS)) == 0),
        )
        for number, each in enumerate(slates)
    ]
    clicks = torch.tensor([0.9, 0.8, 0.2, 0.1, 0.1, 0.1, 0.1, 0.9])
    answers = _Answers(clicks[:, None].expand(-1, len(TASKS)))
    assert slate_figures(answers, shown) == {"ranker": 0.5, "fusion": 0.5, "slates": 2}
    assert slate_figures(answers, []) == {}


class _Answers(torch.nn.Module):
    """A ranker that always answers the same."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self._answer = answer

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self._answer[: len(features)]


def test_figures_of_nothing_are_zero() -> None:
    """A part without requests."""
    assert set(figures(np.empty(0, np.int64)).values()) == {0.0}


def test_bad_news_is_told() -> None:
    """Wherever a counter foresees more than a model."""
    good = {"recall_at_20": 0.3, "mrr_at_20": 0.1, "ndcg_at_10": 0.1}
    poor = {"recall_at_20": 0.2, "mrr_at_20": 0.2, "ndcg_at_10": 0.1}
    test = dict.fromkeys(("ranker", "fusion", "recent_popular", "last_item_transitions"), good)
    assert remarks(test | {"encoder": good}) == []
    told = remarks(test | {"encoder": poor})
    assert told == [
        "the encoder foresees less than recent_popular: recall_at_20 0.2 < 0.3",
        "the encoder foresees less than last_item_transitions: recall_at_20 0.2 < 0.3",
    ]
