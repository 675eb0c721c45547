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
from online_models.training.calibration import LEAST_LABELS
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.labels import NEVER
from online_models.training.log import TARGET, TrainingLog
from online_models.training.measure import (
    RECENT_EVENTS,
    counter_ranks,
    figures,
    remarks,
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


def test_tasks_are_measured_over_all_candidates() -> None:
    """Clicks, and what follows them given a click; what never came has no figures."""
    foreseen = torch.tensor([[0.5, 0.1, 0.1], [0.2, 0.1, 0.1], [0.4, 0.2, 0.1]])
    features, ranks = np.zeros((3, 1), np.float16), np.zeros((3, 1), np.int16)
    exposures = [
        Exposure(0, 0, features, ranks),
        Exposure(1, 1, features, ranks, (5, NEVER)),
        Exposure(2, -1, features, ranks, (6, NEVER)),
    ]
    found = task_figures(_Answers(foreseen), exposures)
    assert found["click"] == {
        "true": 2,
        "auc": auc(foreseen[:, 0].repeat(3).numpy(), np.eye(9)[[0, 4]].sum(axis=0)),
        "predicted_over_true": 1.65,
    }
    assert found["dwell"]["true"] == 1
    assert found["dwell"]["predicted_over_true"] == 1.2
    assert found["dwell"]["auc_given_click"] == 1
    assert "conversion" not in found
    assert task_figures(_Answers(foreseen), []) == {}


def test_clicks_are_measured_on_what_was_shown_where_that_is_known() -> None:
    """Of enough slates; the other tasks stay those of the candidates."""
    n = 2 * LEAST_LABELS
    clicked = np.arange(n) % 2 == 0
    shown = Shown(0, np.zeros((n, len(FEATURES)), np.float16), clicked)
    foreseen = torch.from_numpy(np.where(clicked, 0.9, 0.3)).float()[:, None]
    features = np.zeros((n, len(FEATURES)), np.float16)
    ranks = np.zeros((n, len(SOURCES)), np.int16)
    answers = _Answers(foreseen.expand(n, len(TASKS)))
    exposures = [Exposure(0, 1, features, ranks)]
    assert task_figures(answers, exposures, [shown])["click"] == {
        "true": LEAST_LABELS,
        "auc": 1.0,
        "predicted_over_true": 1.2,
    }
    few = Shown(0, shown.features[:4], clicked[:4])
    assert task_figures(answers, exposures, [few]) == task_figures(answers, exposures)


class _Answers(torch.nn.Module):
    """A ranker that always answers the same."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self._answer = answer

    def forward(self, _features: torch.Tensor) -> torch.Tensor:
        return self._answer


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
