"""The truth of people: each wrong record of the state is found."""

from __future__ import annotations

from typing import Any

import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import TYPE_CODES
from freshet.core.settings import Settings
from freshet.core.state.records import Records, unpack_items
from freshet.core.state.unwanted import UNWANTED_DTYPE
from replay.chaos.people_truth import PeopleTruth, wrong_additions, wrong_unwanted

T = 1_700_000_000


def event(kind: str, user: str, item: str, at_s: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "user_id": user, "item_id": item, "ts_ms": 1000 * (T + at_s), **more}


def truth(*events: dict[str, Any], unwanted_ttl_s: int = 0) -> PeopleTruth:
    people = PeopleTruth(Settings(unwanted_ttl_s=unwanted_ttl_s), 1)
    for each in events:
        people.take(each, 0)
    return people


def rows(**items: int) -> Records:
    hashes = item_hashes(list(items)).tolist()
    made = [
        (item, T + at_s, TYPE_CODES["hide"])
        for item, at_s in zip(hashes, items.values(), strict=True)
    ]
    return np.array(made, UNWANTED_DTYPE)


def test_every_difference_in_what_is_unwanted_is_found() -> None:
    """Of who lacks a row, has one too many, has another time, or is from nowhere."""
    people = truth(
        event("hide", "ann", "x", 1), event("hide", "ann", "y", 2), event("like", "ann", "y", 3),
        event("click", "bob", "x", 4),
    ).users  # fmt: skip
    assert wrong_unwanted({"ann": rows(x=1)}, people) == 0
    assert wrong_unwanted({}, people) == 1
    assert wrong_unwanted({"ann": rows(x=1, y=2)}, people) == 1
    assert wrong_unwanted({"ann": rows(x=9)}, people) == 1
    assert wrong_unwanted({"ann": rows(x=1), "bob": rows(x=1), "carl": rows()}, people) == 1


def test_what_expired_is_gone_when_another_rejection_comes() -> None:
    """By the setting, as in the fold."""
    log = [
        event("hide", "ann", "x", 1),
        event("hide", "ann", "y", 60),
        event("click", "ann", "z", 99),
    ]
    assert wrong_unwanted({"ann": rows(x=1, y=60)}, truth(*log, unwanted_ttl_s=60).users) == 0
    assert wrong_unwanted({"ann": rows(y=60)}, truth(*log, unwanted_ttl_s=59).users) == 0


def test_every_difference_in_what_was_added_is_found() -> None:
    """Trend, people and rates, of an item that is missing, and of one from nowhere."""
    people = truth(
        event("impression", "ann", "x", 0), event("click", "ann", "x", 1),
        event("click", "ann", "x", 2), event("rating", "bob", "x", 3, value=1.0),
        event("impression", "ann", "x", 4),
    )  # fmt: skip
    items = unpack_items([None])
    items["trend"][0, -1, 3], items["people"] = 1, 1
    items["impressions"][0, 0] = items["clicks"][0, 1] = 1
    assert wrong_additions(["x"], items, people.added) == 0
    assert {name: int(total[0]) for name, total in people.held_back.items()} == {
        "held_interactions": 1,
        "held_impressions": 1,
        "held_transitions": 0,
    }
    for name in ("trend", "people", "clicks"):
        changed = items.copy()
        changed[name] += 1
        assert wrong_additions(["x"], changed, people.added) == 1
    assert wrong_additions([], items[:0], people.added) == 1
    assert wrong_additions(["x", "y"], np.concatenate([items, items]), people.added) == 1
