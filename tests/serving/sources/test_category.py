"""What is popular in the categories that the user acts on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.schema import Item
from freshet.core.state.records import unpack_items
from serving.item_table import ItemTable
from serving.profile import meet
from serving.sources.category import find_in_categories
from serving.sources.found import Found
from serving.standings import compute_standings

NOW_MS = 1_763_800_000_000


def counted(entries: list[Item]) -> ItemTable:
    """A table of these items, each more popular than the next."""
    table = ItemTable()
    table.offer(entries)
    records = unpack_items([None] * len(entries))
    popularity = np.arange(len(entries), 0, -1)
    records["last_ts_ms"] = NOW_MS
    records["trend"][:, :, :] = popularity[:, None, None]
    records["people"] = popularity
    table.put_records([entry.item_id for entry in entries], records)
    return table


async def find(table: ItemTable, users: Any, user_id: str, quota: int = 100) -> Found:
    standings = compute_standings(table, NOW_MS, [])
    profile = meet(await users.get(user_id), table, None)
    return find_in_categories(table, standings, profile, quota)


def names(table: ItemTable, found: Found) -> list[str]:
    return [table.ids[row] for row in found.rows]


async def test_without_a_category_nothing_is_found(table: Any, users: Any) -> None:
    """A newcomer, an item that nobody has heard of, an item without categories."""
    table.offer([Item(item_id="bare")])
    users.act("bob", "unheard of")
    users.act("carl", "bare")
    for user_id in ("nobody", "bob", "carl"):
        assert (await find(table, users, user_id)).rows.tolist() == []


async def test_a_catalogue_without_categories_is_no_error(users: Any) -> None:
    """Nor is an empty one."""
    users.act("ann", "a")
    assert names(counted([]), await find(counted([]), users, "ann")) == []
    bare = counted([Item(item_id="a"), Item(item_id="b")])
    assert names(bare, await find(bare, users, "ann")) == []


async def test_the_most_popular_of_the_users_category_come_first(table: Any, users: Any) -> None:
    """Every fifth item is of the garden, and nothing else is found."""
    users.act("ann", "item-40")
    expected = [f"item-{number}" for number in range(0, 80, 5)]
    found = await find(table, users, "ann")
    assert names(table, found) == expected
    assert (np.diff(found.scores) < 0).all()
    assert names(table, await find(table, users, "ann", quota=3)) == expected[:3]


@pytest.mark.parametrize("walk", ["aab", "bab", "abb"])
async def test_the_category_acted_on_most_and_last_weighs_most(users: Any, walk: str) -> None:
    """The j-th newest visit weighs 1 / sqrt(j), and of an item all its categories count."""
    table = counted([Item(item_id=name, categories=[name[0]]) for name in ("a1", "b1", "a2", "b2")])
    table.offer([Item(item_id="a2", categories=["a", "b"])])
    for letter in walk:
        users.act(walk, f"{letter}1")
    weights = [1 / np.sqrt(age) for age in (1, 2, 3)]
    taste = {
        letter: sum(w for w, each in zip(weights, reversed(walk), strict=True) if each == letter)
        for letter in "ab"
    }
    norm = np.hypot(taste["a"], taste["b"])
    popular = compute_standings(table, NOW_MS, []).popular
    popularity = dict(zip(popular.rows.tolist(), popular.scores.tolist(), strict=True))
    expected = {}
    for row, categories in enumerate(["a", "b", "ab", "b"]):
        affinity = sum(taste[letter] for letter in categories) / norm
        expected[table.ids[row]] = affinity * np.log1p(popularity[row])
    found = await find(table, users, walk)
    scores = dict(zip(names(table, found), found.scores.tolist(), strict=True))
    assert scores == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["hide", "dislike", "report", "skip"])
async def test_a_category_that_was_only_rejected_is_not_sought(
    table: Any, users: Any, kind: str
) -> None:
    """Six times; and beside a click of another one, that other one alone is."""
    for number in range(6):
        users.act("ann", f"item-{5 * number}", kind=kind)
    assert (await find(table, users, "ann")).rows.tolist() == []
    users.act("ann", "item-41")
    found = await find(table, users, "ann")
    assert names(table, found) == [f"item-{number}" for number in range(1, 80, 5)]
