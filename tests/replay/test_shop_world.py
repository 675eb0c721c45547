"""A shop without content: what is visited together says all that can be known."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from freshet.core.events.recorded import read_events, read_items
from freshet.core.events.schema import Item
from freshet.core.settings import Settings
from online_models.training.log import build_log
from replay.evaluate.baselines import baselines
from replay.evaluate.figures import figures
from replay.evaluate.judge import Judge, Plan, training_events
from replay.shop_world import (
    MEAN_VISITS,
    SHELF_SIZE,
    ShopPlan,
    shelves_of,
    shop_events,
    shop_items,
    write_shop_log,
)

PLAN = ShopPlan(users=2_000, items=2_400, days=10)


def test_a_plan_is_the_same_bytes(tmp_path: Path) -> None:
    """And files hold what was drawn; another seed is another shop."""
    plan = ShopPlan(users=40, items=50, days=2)
    first, second = (write_shop_log(plan, tmp_path / name) for name in ("a", "b"))
    for mine, theirs in zip(first[:3], second[:3], strict=True):
        assert mine.read_bytes() == theirs.read_bytes()
    assert list(read_events(first.events)) == list(shop_events(plan))
    assert list(read_items(first.items)) == list(shop_items(plan))
    other = write_shop_log(ShopPlan(users=40, items=50, days=2, seed=2), tmp_path / "c")
    assert other.events.read_bytes() != first.events.read_bytes()


def test_nothing_is_known_of_an_item_but_its_visits() -> None:
    """No title, no category, no price, no date."""
    assert list(shop_items(PLAN))[7] == Item(item_id="i00007")


def test_sessions_are_short_and_stay_at_shelves() -> None:
    """Four visits each; two in succession are mostly of one shelf, as hardly any two others are."""
    events = [event for event in shop_events(PLAN) if event.type == "view"]
    assert [event.ts_ms for event in events] == sorted(event.ts_ms for event in events)
    sessions: dict[str, list[int]] = {}
    for event in events:
        sessions.setdefault(str(event.session_id), []).append(int(event.item_id[1:]))
    lengths = [len(items) for items in sessions.values()]
    assert np.mean(lengths) == pytest.approx(MEAN_VISITS, abs=0.2)
    shelves = shelves_of(PLAN)
    assert np.bincount(shelves).tolist() == [SHELF_SIZE] * 200
    same = [shelves[a] == shelves[b] for items in sessions.values() for a, b in pairwise(items)]
    assert np.mean(same) == pytest.approx(0.8, abs=0.05)


def test_an_impossible_shop_is_refused() -> None:
    """Without users or shelves."""
    for wrong in ({"users": 0}, {"items": 5}, {"days": 0}):
        with pytest.raises(ValueError, match="expected at least 1 user"):
            ShopPlan(**wrong)  # type: ignore[arg-type]


def test_what_is_visited_together_is_worth_far_more_than_popularity() -> None:
    """So an encoder that is not above popularity here has learned nothing."""
    events = list(shop_events(PLAN))
    log = build_log(events, list(shop_items(PLAN)))
    plan = Plan(requests=150)
    others = baselines(log, training_events(log, plan)[1:])
    outcome = Judge("shop", log, events, Settings(), None, others, plan).run()
    recall = {each.contestant: each.recall20 for each in figures(outcome).scores}
    assert recall["session-knn"] > 3 * recall["recent-popular-2000"] > 0
    assert recall["transitions"] > 2 * recall["recent-popular-2000"]
