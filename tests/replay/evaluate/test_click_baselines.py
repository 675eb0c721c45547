"""What the simple methods say of an impression rests on what was before it."""

import numpy as np
import pytest

from freshet.core.events.schema import IMPRESSION
from online_models.training.histories import Histories
from online_models.training.log import TARGET, TrainingLog, build_log
from online_models.training.slates import Slates
from replay.evaluate.baselines.popularity import RATE_STRENGTH
from replay.evaluate.click_baselines import Counted, ItemClickRate, click_baselines
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


def test_a_rate_of_late_forgets_what_was_shown_before(log: TrainingLog) -> None:
    """The last fifty impressions, and the clicks since the first of them."""
    slates = Slates(log, Histories(log))
    learned = ItemClickRate(log, slates, window=50)
    for end in (len(log) // 3, len(log) // 2):
        learned.learn(end)
        shown = slates.impressions[slates.impressions < end][-50:]
        clicks = slates.clicks[(slates.clicks < end) & (slates.clicks >= shown[0])]
        overall = (len(clicks) + 1) / (len(shown) + 2)
        mine = np.bincount(log.item[clicks], minlength=30) + RATE_STRENGTH * overall
        expected = mine / (np.bincount(log.item[shown], minlength=30) + RATE_STRENGTH)
        assert learned.scores(np.arange(30)) == pytest.approx(expected)
    assert learned.name == "item click rate, last 50"


def test_what_is_counted_is_the_newest_of_the_events(log: TrainingLog) -> None:
    """And no more of them; of items that are counted alike the newer one is above."""
    visits = np.flatnonzero(TARGET[log.kind])
    popular = Counted("popular", log, visits, 50)
    end = 3 * len(log) // 4
    popular.learn(end)
    last = log.item[visits[visits < end][-50:]]
    scores = popular.scores(np.arange(30))
    assert np.floor(scores).tolist() == np.bincount(last, minlength=30)[:30].tolist()
    alike = [row for row in dict.fromkeys(last[::-1].tolist()) if (last == row).sum() == 1]
    assert scores[alike].tolist() == sorted(scores[alike], reverse=True)


def test_baselines_know_what_is_visited_and_what_is_shown(log: TrainingLog) -> None:
    """By names of their own."""
    names = [each.name for each in click_baselines(log, Slates(log, Histories(log)))]
    assert names == [
        "item click rate", "item click rate, last 20,000", "popularity", "recent popularity, 500",
        "recent popularity, 2,000", "recent popularity, 10,000", "shown lately, 2,000",
        "shown lately, 20,000",
    ]  # fmt: skip
