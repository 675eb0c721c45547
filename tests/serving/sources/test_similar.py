"""The items nearest to the one that the user liked last."""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.profile import meet
from serving.sources.found import Found
from serving.sources.similar import find_similar


async def find(table: Any, bound: Any, users: Any, user_id: str, quota: int = 5) -> Found:
    return find_similar(bound, meet(await users.get(user_id), table, bound), quota)


async def test_without_a_vector_nothing_is_similar(table: Any, live: Any, users: Any) -> None:
    """A newcomer, an item that nobody has heard of, no bundle."""
    users.act("bob", "unheard of")
    users.act("ann", "item-1")
    assert (await find(table, live.current, users, "nobody")).rows.tolist() == []
    assert (await find(table, live.current, users, "bob")).rows.tolist() == []
    assert (await find(table, None, users, "ann")).rows.tolist() == []


async def test_the_nearest_items_come_first(table: Any, live: Any, users: Any) -> None:
    """By cosine, as the slow search says; the newest item that has a vector asks."""
    for item_id in ("item-9", "item-3", "unheard of"):
        users.act("ann", item_id)
    found = await find(table, live.current, users, "ann")
    vectors = live.current.vectors[: table.size]
    cosines = vectors @ vectors[table.row("item-3")]
    assert found.rows.tolist() == np.argsort(-cosines, kind="stable")[:5].tolist()
    np.testing.assert_allclose(found.scores, cosines[found.rows], atol=1e-6)
    assert {table.ids[row] for row in found.because} == {"item-3"}


async def test_no_more_than_the_quota_is_found(table: Any, live: Any, users: Any) -> None:
    """The nearest is the item itself; what was seen is left out later."""
    users.act("ann", "item-3")
    found = await find(table, live.current, users, "ann", quota=1)
    assert found.rows.tolist() == [table.row("item-3")]


async def test_what_was_rejected_asks_for_nothing_like_it(
    table: Any, live: Any, users: Any
) -> None:
    """The item liked before it does; without one nothing is found."""
    users.act("ann", "item-3")
    users.act("ann", "item-9")
    for user_id in ("ann", "bob"):
        users.act(user_id, "item-9", kind="hide")
    found = await find(table, live.current, users, "ann")
    assert {table.ids[row] for row in found.because} == {"item-3"}
    assert (await find(table, live.current, users, "bob")).rows.tolist() == []
