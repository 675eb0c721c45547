"""The generated log: the same each time, true to its plan, and clicked as its model says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import REJECTION, TYPE_CODES
from replay.generator import REJECTIONS, generate
from replay.titles import CATEGORIES
from replay.world import EXAMINATION, Plan, make_world

CLICK, IMPRESSION = TYPE_CODES["click"], TYPE_CODES["impression"]
REJECTS = [TYPE_CODES[name] for name, _ in REJECTIONS]


def test_the_same_plan_gives_the_same_log() -> None:
    """And another seed another one."""
    plan = Plan(users=50, items=60, days=2)
    _, once = generate(plan)
    _, twice = generate(plan)
    _, other = generate(Plan(users=50, items=60, days=2, seed=2))
    assert once.tobytes() == twice.tobytes()
    assert once.tobytes() != other.tobytes()


@settings(max_examples=15, deadline=None)
@given(
    users=st.integers(1, 30),
    items=st.integers(2 * len(CATEGORIES), 80),
    days=st.floats(0.1, 5),
    seed=st.integers(0, 10_000),
    drift_at=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_log_is_in_order_in_its_time_and_shows_only_released_items(
    users: int, items: int, days: float, seed: int, drift_at: float
) -> None:
    """Whatever the plan."""
    plan = Plan(users=users, items=items, days=days, seed=seed, drift_at=drift_at)
    world, events = generate(plan)
    assert len(events)
    assert (np.diff(events["ts_ms"]) >= 0).all()
    assert events["ts_ms"].min() >= plan.start_ts_ms
    assert events["ts_ms"].max() <= plan.end_ts_ms
    released_ts_ms = plan.start_ts_ms + world.released_s[events["item"]] * 1000
    assert (events["ts_ms"] >= released_ts_ms - 1).all()


def test_a_slate_shows_no_item_twice_and_clicks_only_what_it_shows() -> None:
    """Positions of a slate run from 0 without a hole."""
    _, events = generate(Plan(users=200, items=60, days=3))
    shown = events[events["type"] == IMPRESSION]
    keys = set(zip(shown["slate"].tolist(), shown["item"].tolist(), strict=True))
    assert len(keys) == len(shown)
    clicks = events[events["type"] == CLICK]
    assert set(zip(clicks["slate"].tolist(), clicks["item"].tolist(), strict=True)) <= keys
    order = np.lexsort((shown["position"], shown["slate"]))
    slates, starts, sizes = np.unique(shown["slate"][order], return_index=True, return_counts=True)
    expected = np.arange(len(shown)) - np.repeat(starts, sizes)
    assert (shown["position"][order] == expected).all()
    assert len(slates) > 100


def test_clicks_follow_the_known_probabilities() -> None:
    """The sum of clicks is within 5 sigma of what the truth predicts (false alarm: 6e-7)."""
    plan = Plan(users=300, items=200, days=4, seed=5)
    world, events = generate(plan)
    # The first slate of a session has no item before it, so that its probability is known here.
    shown = events[(events["type"] == IMPRESSION) & (events["slate"] % 20 == 0)]
    time_s = (shown["ts_ms"] - plan.start_ts_ms) / 1000
    expected = world.click_probability(
        shown["user"], shown["item"], np.full(len(shown), -1),
        positions=shown["position"], time_s=time_s,
    )  # fmt: skip
    clicks = events[(events["type"] == CLICK) & (events["slate"] % 20 == 0)]
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert abs(len(clicks) - expected.sum()) < 5 * deviation + 3  # 3: clicks cut off by the end


def test_rejections_follow_the_known_probabilities() -> None:
    """The sum is within 5 sigma of what the truth predicts (false alarm: 6e-7).

    An impression is rejected where it was not clicked, so with (1 - click) times the probability.
    """
    plan = Plan(users=600, items=200, days=5, seed=5)
    world, events = generate(plan)
    shown = events[(events["type"] == IMPRESSION) & (events["slate"] % 20 == 0)]
    seen = {"positions": shown["position"], "time_s": (shown["ts_ms"] - plan.start_ts_ms) / 1000}
    clicks = world.click_probability(shown["user"], shown["item"], np.full(len(shown), -1), **seen)
    expected = (1 - clicks) * world.rejection_probability(shown["user"], shown["item"], **seen)
    rejected = np.isin(events["type"], REJECTS) & (events["slate"] % 20 == 0)
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert abs(rejected.sum() - expected.sum()) < 5 * deviation + 1
    assert expected.sum() > 40


def test_people_reject_what_does_not_fit_them() -> None:
    """Some 1 to 3 % of what fits badly, a tenth of that where it fits well; all types that reject.

    So that a model can learn it: at random, the two rates would be the same.
    """
    plan = Plan(users=1000, items=600)
    world, events = generate(plan)
    before = events[events["ts_ms"] < plan.start_ts_ms + 1000 * world.drift_s]
    ratio = world.tastes[0][before["user"], world.category[before["item"]]] * len(CATEGORIES)
    rates = []
    for fits in (ratio < 0.1, ratio > 2):
        shown = (before["type"] == IMPRESSION) & fits
        rates.append((np.isin(before["type"], REJECTS) & fits).sum() / shown.sum())
    assert 0.01 < rates[0] < 0.03
    assert rates[1] < rates[0] / 5
    counts = [int((events["type"] == code).sum()) for code in REJECTS]
    assert sorted(counts, reverse=True) == counts
    assert min(counts) > 5
    assert REJECTION[REJECTS].all()


def test_stars_follow_taste() -> None:
    """Low ones are dislikes: they say of a category what hides say."""
    plan = Plan(users=1000, items=600, drift_at=1.0)
    world, events = generate(plan)
    ratings = events[events["type"] == TYPE_CODES["rating"]]
    ratio = world.tastes[0][ratings["user"], world.category[ratings["item"]]] * len(CATEGORIES)
    low = ratings["value"] <= 2
    assert low[ratio < 0.3].mean() > 0.4
    assert low[ratio > 2].mean() < 0.2


def test_what_is_higher_up_is_clicked_more() -> None:
    """Shown in random order, so that position alone explains it."""
    _, events = generate(Plan(users=500, items=200, days=4))
    rates = [
        (events[events["type"] == CLICK]["position"] == position).sum()
        / (events[events["type"] == IMPRESSION]["position"] == position).sum()
        for position in range(len(EXAMINATION))
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] / rates[0] == pytest.approx(EXAMINATION[-1], abs=0.12)


def test_tastes_change_at_the_drift_and_only_for_some() -> None:
    """Half of the people drift; without drift nobody ever does."""
    plan = Plan(users=400)
    world = make_world(plan, np.random.default_rng(1))
    changed = (world.tastes[0] != world.tastes[1]).any(1)
    assert 0.4 < changed.mean() < 0.6
    assert world.drift_s == pytest.approx(0.6 * 7 * 86_400)
    assert make_world(Plan(drift_at=1.0), np.random.default_rng(1)).drift_s == np.inf


def test_a_successor_is_clicked_more() -> None:
    """The last click of a session says something about the next one."""
    plan = Plan(users=10)
    world = make_world(plan, np.random.default_rng(1))
    last = np.arange(plan.items)
    following, users, zeros = world.successors[:, 0], np.zeros(plan.items, int), last * 0
    after = world.click_probability(users, following, last, positions=zeros, time_s=zeros)
    cold = world.click_probability(users, following, zeros - 1, positions=zeros, time_s=zeros)
    assert (after > cold).all()


@pytest.mark.parametrize(
    "wrong", [{"users": 0}, {"items": 5}, {"days": 0}, {"days": 1e9}, {"drift_at": 1.5}]
)
def test_an_impossible_plan_is_refused(wrong: dict) -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match="expected"):
        Plan(**wrong)
