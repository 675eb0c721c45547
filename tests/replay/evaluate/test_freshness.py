"""What freshness is worth: gaps to the product, state beside models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import Event, Item
from freshet.core.settings import Settings
from online_models.training.log import TrainingLog, build_log
from replay.evaluate.freshness import daily, freshness_of, measure_freshness, section
from replay.evaluate.judge import Plan
from replay.evaluate.outcome import Outcome
from replay.evaluate.request import LIST_LENGTH
from replay.evaluate.stale import Arm

START_MS = 1_760_054_400_000
STALE, FROZEN = Arm(60), Arm(trainings=0)


def followed(sessions: int) -> tuple[TrainingLog, list[Event]]:
    """Build a log in which each of 100 items is followed by the next one, ten seconds later."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{session}", (int(first) + step) % 100, 600 * session + 10 * step)
        for session, first in enumerate(rng.integers(0, 100, sessions))
        for step in range(4)
    ]
    events = [
        Event(
            event_id=f"e{number}",
            user_id=user,
            type="click",
            item_id=f"i{item}",
            ts_ms=START_MS + 1_000 * second,
        )
        for number, (user, item, second) in enumerate(rows)
    ]
    items = [Item(item_id=f"i{item}", created_ts_ms=START_MS) for item in range(100)]
    return build_log(events, items), events


def test_what_a_session_tells_is_lost_with_a_delay() -> None:
    """The next item is known from the last one alone, and a minute ago there was none."""
    log, events = followed(300)
    found = measure_freshness("chains", log, events, Settings(), None, Plan(requests=150))
    assert [each.arm.delay_s for each in found.levels] == [
        delay_s for delay_s in (60, 300, 3_600, 86_400) for _ in range(2)
    ]
    assert found.trainings == 0
    assert found.trained_every_s is None
    for each in found.levels:
        assert each.recall20 < 0.6 * found.recall20
        assert each.recall20_gap.absolute == pytest.approx(each.recall20 - found.recall20)
        assert each.mrr20_gap.absolute == pytest.approx(each.mrr20 - found.mrr20)
    assert msgspec.json.decode(msgspec.json.encode(found))["requests"] == found.requests


def many(click_log: Callable[..., TrainingLog], ranks: Mapping[str, Sequence[int]]) -> Outcome:
    """Build an outcome of one request a day whose targets stand at these ranks."""
    n = len(next(iter(ranks.values())))
    log = click_log([Item(item_id=str(row)) for row in range(40)], range(n), [0] * n, [
        24 * day for day in range(n)
    ])  # fmt: skip
    lists = {}
    for name, each in ranks.items():
        lists[name] = np.tile(np.arange(1, LIST_LENGTH + 1), (n, 1))
        rows = np.flatnonzero(np.array(each) >= 0)
        lists[name][rows, np.array(each)[rows]] = 0
    return Outcome(
        name="many",
        log=log,
        events=np.arange(n),
        targets=np.zeros(n, np.int64),
        history_lengths=np.zeros(n, np.int64),
        target_counts=np.zeros(n, np.int64),
        lists=lists,
        seconds={},
        baselines=[],
    )


def test_gaps_are_to_the_product(click_log: Callable[..., TrainingLog]) -> None:
    """Recall and MRR by hand: first of all; a miss in one of two; always the second."""
    ranks = {"product": [0] * 80, STALE.name: [0, -1] * 40, FROZEN.name: [1] * 80}
    found = freshness_of(many(click_log, ranks), [STALE, FROZEN], Plan(trainings=3))
    stale, frozen = found.levels
    assert (found.recall20, found.mrr20) == (1, 1)
    assert (stale.recall20, stale.mrr20) == (0.5, 0.5)
    assert (frozen.recall20, frozen.mrr20) == (1, 0.5)
    assert stale.recall20_gap.delta_pct == -50
    assert stale.recall20_gap.ci_high is not None
    assert stale.recall20_gap.ci_high < 0
    assert (frozen.recall20_gap.absolute, frozen.recall20_gap.p_holm) == (0, 1)
    assert frozen.mrr20_gap.low == frozen.mrr20_gap.high == -0.5
    days = 79 - 32  # answers count from 0.4 of 80 days
    assert found.trained_every_s == pytest.approx(days * 86_400 / 4)


def test_a_day_has_a_training_as_far_as_the_budget_goes(
    click_log: Callable[..., TrainingLog],
) -> None:
    """Ten days count of sixteen; less than one has none."""
    log = click_log([Item(item_id="0")], [0] * 16, [0] * 16, [24 * day for day in range(16)])
    plan = Plan(judge_from=0.35)
    assert daily(log, plan, most=50) == replace(plan, trainings=10)
    assert daily(log, plan, most=4).trainings == 4
    assert daily(log, replace(plan, judge_from=0.99), most=4).trainings == 0


def test_the_section_shows_all_arms(click_log: Callable[..., TrainingLog]) -> None:
    """A panel for state and one for models, two measures each; what is unknown has no bar."""
    ranks = {"product": [0] * 3, STALE.name: [-1] * 3, FROZEN.name: [1] * 3}
    found = freshness_of(many(click_log, ranks), [STALE, FROZEN], Plan(trainings=3))
    plot = section(found).plot
    drawn = [(trace.name, list(trace.x), list(trace.y)) for trace in plot.data]
    assert drawn == [
        ("Recall@20", ["60 s old"], [-100]),
        ("MRR@20", ["60 s old"], [-100]),
        ("Recall@20", ["0 trainings"], [0]),
        ("MRR@20", ["0 trainings"], [-50]),
    ]
    assert list(plot.data[0].error_y.array) == [None]
    hiding = Arm(60, hides_seen=True)
    outcome = many(click_log, {**ranks, hiding.name: [2] * 3})
    both = section(freshness_of(outcome, [STALE, hiding], Plan(trainings=0))).plot.data
    assert [(trace.name, trace.x[0]) for trace in both][:2] == [
        ("Recall@20", "60 s old"),
        ("Recall@20, seen hidden", "60 s old"),
    ]
    alone = freshness_of(many(click_log, ranks), [STALE], Plan(trainings=0))
    assert len(section(alone).plot.data) == 2
