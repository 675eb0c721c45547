"""Clicks are foreseen where they can be, from what was before the slate."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.core.events.schema import Event, Item
from freshet.core.settings import Settings
from online_models.maths.classification import auc
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog, build_log
from online_models.training.slates import Slates
from replay.evaluate.click_baselines import ClickBaseline, click_baselines
from replay.evaluate.impressions import ImpressionJudge, Impressions
from replay.evaluate.request import PRODUCT, Rows
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.lived import LivedLog
from replay.world import Plan

START_MS = 1_760_000_000_000
FALSE_ALARM_SIGMAS = 5.0  # one seed in a million; the seeds are fixed

Written = tuple[TrainingLog, list[Event]]


@pytest.fixture(scope="module")
def written() -> Written:
    """A log in which people follow their tastes."""
    plan = Plan(users=150, items=60, days=2)
    world, rows = generate(plan)
    events, items = list(to_events(plan, rows)), to_items(plan, world)
    return build_log(events, items), events


def judged(
    written: Written, others: Sequence[ClickBaseline] | None = None, start: float = 0.3
) -> Impressions | None:
    """Judge two hundred slates."""
    log, events = written
    slates = Slates(log, Histories(log))
    lived = LivedLog(log, events, Settings())
    lived.live(log.cut(start))
    lived.ask(log.cut(start), 1)  # who leads for everyone is known
    judge = ImpressionJudge(lived, click_baselines(log, slates) if others is None else others)
    for slate in slates.between(log.cut(start), len(log), 200):
        judge.ask(slate)
    lived.close()
    return judge.impressions()


class Constant:
    """Says the same of everything."""

    name = "constant"
    is_probability = True

    def __init__(self) -> None:
        self.learned: list[int] = []

    def learn(self, end: int) -> None:
        self.learned.append(end)

    def scores(self, items: Rows) -> NDArray[np.float64]:
        return np.full(len(items), 0.2)


def sigma(found: Impressions) -> float:
    """The standard error of the AUC of scores that say nothing (Mann and Whitney 1947)."""
    positives = int(found.clicked.sum())
    negatives = len(found.clicked) - positives
    return float(np.sqrt((positives + negatives + 1) / (12 * positives * negatives)))


def test_the_product_foresees_clicks_and_a_constant_does_not(written: Written) -> None:
    """In a world in which people click on what is to their taste; without any model yet."""
    constant = Constant()
    found = judged(written, [constant])
    assert found is not None
    assert auc(found.scores[PRODUCT], found.clicked) > 0.5 + FALSE_ALARM_SIGMAS * sigma(found)
    assert auc(found.scores["constant"], found.clicked) == 0.5
    assert found.probabilities == {"constant"}  # the fusion of the sources is none
    assert constant.learned == sorted(constant.learned)


def test_clicks_drawn_at_random_are_not_foreseen(written: Written) -> None:
    """The same slates in the same log, with other clicks: whatever is judged, chance is found."""
    found = judged(written)
    assert found is not None
    drawn = replace(found, clicked=np.random.default_rng(1).permutation(found.clicked))
    for scores in drawn.scores.values():
        assert abs(auc(scores, drawn.clicked) - 0.5) < FALSE_ALARM_SIGMAS * sigma(drawn)


def test_good_items_are_told_by_their_click_rate() -> None:
    """Half of the items are clicked on whenever they are shown, and by everyone."""
    rng = np.random.default_rng(2)
    events = []
    for number in range(600):
        item = int(rng.integers(20))
        shown = Event(
            event_id=f"s{number}",
            type="impression",
            user_id=f"u{rng.integers(30)}",
            item_id=f"i{item:02}",
            ts_ms=START_MS + 60_000 * number,
        )
        events.append(shown)
        if item % 2:
            click = msgspec.structs.replace(shown, event_id=f"c{number}", type="click")
            events.append(msgspec.structs.replace(click, ts_ms=shown.ts_ms + 5_000))
    items = [Item(item_id=f"i{item:02}", created_ts_ms=START_MS) for item in range(20)]
    found = judged((build_log(events, items), events))
    assert found is not None
    assert auc(found.scores["item click rate"], found.clicked) > 0.99
    assert found.not_offered == 0


def test_a_log_without_impressions_tells_nothing(written: Written) -> None:
    """Nor does one in which nothing shown was clicked on."""
    log, events = written
    items = log.items
    unseen = [event for event in events if event.type != "impression"]
    assert judged((build_log(unseen, items), unseen)) is None
    unanswered = [
        msgspec.structs.replace(event, type="view") if event.type == "click" else event
        for event in events
    ]
    assert judged((build_log(unanswered, items), unanswered)) is None


def test_items_that_do_not_exist_yet_are_left_out_and_counted(written: Written) -> None:
    """Half of them are in no catalogue, so that they exist by their first event."""
    log, events = written
    later = [msgspec.structs.replace(item, created_ts_ms=None) for item in log.items]
    whole, part = judged(written, start=0), judged((build_log(events, later), events), start=0)
    assert whole is not None
    assert part is not None
    assert part.not_offered > whole.not_offered
    assert part.not_offered + len(part.clicked) == whole.not_offered + len(whole.clicked)
    assert {len(each) for each in part.scores.values()} == {len(part.clicked)}
    assert all(np.isfinite(each).all() for each in part.scores.values())
