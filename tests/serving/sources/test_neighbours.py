"""Where the visitors most like the user went next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.partition import item_hashes
from online_models.sources import visit_weights
from serving.profile import meet
from serving.sources import neighbours
from serving.sources.found import Found
from serving.sources.neighbours import find_neighbours

HALF_LIFE_S = 3600.0


async def find(table: Any, users: Any, user_id: str, quota: int = 10) -> Found:
    return find_neighbours(table, meet(await users.get(user_id), table, None), HALF_LIFE_S, quota)


def votes(table: Any, found: Found) -> dict[str, float]:
    return {table.ids[row]: score for row, score in zip(found.rows, found.scores, strict=True)}


@pytest.fixture
def walked(table: Any, users: Any, covisits: Any) -> None:
    """Visit 1 came past items 1 and 2 and went on to 10; visits 2 and 3 past 2, and on to 11."""
    first, second = item_hashes(["item-1", "item-2"]).tolist()
    table.put_covisits([first], [covisits("item-10", visits=[1], distances=2)])
    table.put_covisits([second], [covisits("item-10", "item-11", "item-11", visits=[1, 2, 3])])
    users.act("ann", "item-1")
    users.act("ann", "item-2")


async def test_a_user_without_visits_gets_nothing(table: Any, users: Any, covisits: Any) -> None:
    """Nor does one whose visits lead nowhere, to nothing that is known, or who only dwelt."""
    table.put_covisits(item_hashes(["item-2"]).tolist(), [covisits("item-5")])
    table.put_covisits(item_hashes(["item-3"]).tolist(), [covisits("unheard of")])
    users.act("bob", "item-1")
    users.act("carl", "item-2", kind="dwell")
    users.act("dora", "unheard of")
    users.act("emil", "item-3")
    for user_id in ("nobody", "bob", "carl", "dora", "emil"):
        assert (await find(table, users, user_id)).rows.tolist() == []


async def test_who_shares_two_items_beats_two_who_share_one(
    table: Any, users: Any, walked: None
) -> None:
    """The square of what is shared, where the newest item weighs most."""
    found = await find(table, users, "ann")
    newest, before = visit_weights(2)
    of_second, of_first = newest / np.sqrt(3), before / 2  # of three samples, at distance two
    expected = {"item-10": (of_second + of_first) ** 2, "item-11": 2 * of_second**2}
    assert votes(table, found) == pytest.approx(expected)
    assert [table.ids[row] for row in found.rows] == ["item-10", "item-11"]


async def test_a_neighbour_of_long_ago_is_a_weaker_one(
    table: Any, users: Any, covisits: Any
) -> None:
    """A quarter of the vote after one half-life: the similarity is halved, then squared."""
    blob = covisits("item-10", "item-11", ages_s=[0, 3600])
    table.put_covisits(item_hashes(["item-1"]).tolist(), [blob])
    users.act("ann", "item-1")
    found = votes(table, await find(table, users, "ann"))
    assert found["item-11"] == pytest.approx(found["item-10"] / 4)


async def test_only_the_nearest_neighbours_vote(
    table: Any, users: Any, walked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are."""
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 1)
    assert list(votes(table, await find(table, users, "ann"))) == ["item-10"]


async def test_no_more_than_the_quota_is_found(table: Any, users: Any, walked: None) -> None:
    """The best are kept."""
    assert list(votes(table, await find(table, users, "ann", quota=1))) == ["item-10"]
