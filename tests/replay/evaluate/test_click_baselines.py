"""What the simple methods say of an impression rests on what was before it."""

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import IMPRESSION
from online_models.training.histories import Histories
from online_models.training.log import TARGET, TrainingLog, build_log
from online_models.training.slates import Slates
from replay.evaluate import click_baselines
from replay.evaluate.click_baselines import RATE_STRENGTH, ItemClickRate, RecentPopularity
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.world import Plan


@pytest.fixture(scope="module")
def log() -> TrainingLog:
    plan = Plan(users=60, items=30, days=2)
    world, rows = generate(plan)
    return build_log(to_events(plan, rows), to_items(plan, world))


def rate(log: TrainingLog) -> ItemClickRate:
    return ItemClickRate(log, Slates(log, Histories(log)))


def test_before_anything_was_shown_all_are_alike(log: TrainingLog) -> None:
    """Half of them, for want of a better word."""
    assert rate(log).scores(np.array([0, 3])).tolist() == [0.5, 0.5]


def test_a_rate_is_drawn_towards_that_of_all(log: TrainingLog) -> None:
    """Counted anew: clicks and impressions of each item, and of all, before the event."""
    end = len(log) // 2
    learned = rate(log)
    learned.learn(end // 3)
    learned.learn(end)
    slates = Slates(log, Histories(log))
    shown = slates.impressions[slates.impressions < end]
    clicks = slates.clicks[slates.clicks < end]
    overall = (len(clicks) + 1) / (len(shown) + 2)
    for item in range(0, 30, 7):
        mine = (log.item[clicks] == item).sum() + RATE_STRENGTH * overall
        expected = mine / ((log.item[shown] == item).sum() + RATE_STRENGTH)
        assert learned.scores(np.array([item]))[0] == pytest.approx(expected)
    assert 0 < overall < 1
    assert (log.kind[shown] == IMPRESSION).all()


def test_popularity_is_that_of_the_last_visits(log: TrainingLog, monkeypatch: Any) -> None:
    """And of no more of them."""
    monkeypatch.setattr(click_baselines, "RECENT_VISITS", 50)
    popular = RecentPopularity(log)
    end = 3 * len(log) // 4
    popular.learn(end)
    visits = np.flatnonzero(TARGET[log.kind[:end]])[-50:]
    expected = np.bincount(log.item[visits], minlength=30)
    assert popular.scores(np.arange(30)).tolist() == expected[:30].tolist()
