"""The truth of people: each wrong record of the state is found."""

from __future__ import annotations

from typing import Any

import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import TYPE_CODES
from freshet.core.settings import Settings
from freshet.core.state.records import COVISIT_CAPACITY, COVISIT_DTYPE, Records, unpack_items
from freshet.core.state.unwanted import UNWANTED_DTYPE
from replay.chaos.people_truth import (
    PeopleTruth,
    wrong_additions,
    wrong_transitions,
    wrong_unwanted,
)

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


def transitions(*rows: tuple[str, int, int]) -> Records:
    """Return what an item holds: next item, time in s, distance."""
    made = np.zeros(len(rows), COVISIT_DTYPE)
    made["next"] = item_hashes([name for name, _, _ in rows])
    made["ts_s"] = [T + at_s for _, at_s, _ in rows]
    made["distance"] = [distance for _, _, distance in rows]
    return made


def test_every_difference_in_transitions_is_found() -> None:
    """One that is missing, too many, of another time or distance, or of another item."""
    people = truth(*(event("click", "ann", item, at) for at, item in enumerate("abc")))
    a, b, other = (int(each) for each in item_hashes(["a", "b", "z"]))
    rows = [("b", 1, 1), ("c", 2, 2)]
    right = {a: transitions(*rows), b: transitions(("c", 2, 1))}
    assert wrong_transitions(right, people.followed) == []
    for of_a in (rows[:1], [*rows, rows[0]], [("b", 9, 1), rows[1]], [rows[0], ("c", 2, 1)]):
        assert wrong_transitions({**right, a: transitions(*of_a)}, people.followed) == ["a"]
    assert wrong_transitions({a: right[a]}, people.followed) == ["b"]
    assert wrong_transitions({**right, other: right[b]}, people.followed) == [str(other)]
    assert wrong_transitions({**right, other: transitions()}, people.followed) == []


def test_of_more_transitions_than_fit_a_full_sample_is_right() -> None:
    """Of those there are, and no fewer."""
    users = COVISIT_CAPACITY + 9
    events = [
        event("click", f"u{user}", item, user) for user in range(users) for item in ("a", "b")
    ]
    people = truth(*events)
    a = int(item_hashes(["a"])[0])
    some = [("b", user, 1) for user in range(users)]
    full = {a: transitions(*some[9:])}
    assert wrong_transitions(full, people.followed) == []
    assert wrong_transitions({a: transitions(*some[10:])}, people.followed) == ["a"]


def test_who_is_forgotten_leaves_what_they_added() -> None:
    """The items keep it."""
    people = truth(event("click", "ann", "a", 0))
    people.forget("ann")
    people.forget("nobody")
    assert (people.users, people.added["a"]["people"]) == ({}, 1)
