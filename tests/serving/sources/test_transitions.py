"""What others opened right after the user's last visit."""

from __future__ import annotations

from typing import Any

import pytest

from freshet.core.events.partition import item_hashes
from serving.profile import meet
from serving.sources.found import Found
from serving.sources.transitions import find_transitions

HALF_LIFE_S = 3600.0


@pytest.fixture
def lead(table: Any) -> Any:
    """`lead("item-1", blob)` puts the transitions out of an item."""

    def put(item_id: str, blob: bytes) -> None:
        table.put_covisits(item_hashes([item_id]).tolist(), [blob])

    return put


async def find(table: Any, users: Any, user_id: str, quota: int = 10) -> Found:
    return find_transitions(table, meet(await users.get(user_id), table, None), HALF_LIFE_S, quota)


def shares(table: Any, found: Found) -> dict[str, float]:
    return {table.ids[row]: share for row, share in zip(found.rows, found.scores, strict=True)}


async def test_a_user_without_visits_gets_nothing(
    table: Any, users: Any, lead: Any, covisits: Any
) -> None:
    """Nor does one whose last visit leads nowhere, to nothing that is known, or who only dwelt."""
    lead("item-2", covisits("item-5"))
    lead("item-3", covisits("unheard of"))
    lead("item-4", covisits("item-5", distances=2))
    users.act("bob", "item-1")
    users.act("carl", "item-2", kind="dwell")
    users.act("dora", "unheard of")
    users.act("emil", "item-3")
    users.act("fay", "item-4")
    for user_id in ("nobody", "bob", "carl", "dora", "emil", "fay"):
        assert (await find(table, users, user_id)).rows.tolist() == []


async def test_the_share_that_went_there_at_once_decides(
    table: Any, users: Any, lead: Any, covisits: Any
) -> None:
    """Three of four, with two more visitors who went elsewhere; not two visits later."""
    went = ["item-5", "item-6", "item-5", "item-5", "item-7", "unheard of"]
    lead("item-1", covisits(*went, distances=[1, 1, 1, 1, 2, 1]))
    users.act("ann", "item-1")
    found = await find(table, users, "ann")
    assert shares(table, found) == pytest.approx({"item-5": 3 / 6, "item-6": 1 / 6})
    assert [table.ids[row] for row in found.rows] == ["item-5", "item-6"]
    assert {table.ids[row] for row in found.because} == {"item-1"}


async def test_an_old_transition_weighs_half_after_a_half_life(
    table: Any, users: Any, lead: Any, covisits: Any
) -> None:
    """What people do now goes before what they did."""
    lead("item-1", covisits("item-5", "item-6", "item-6", ages_s=[0, 3600, 7200]))
    users.act("ann", "item-1")
    found = await find(table, users, "ann")
    assert shares(table, found) == pytest.approx({"item-5": 1 / 3.75, "item-6": 0.75 / 3.75})


async def test_only_the_last_visit_speaks(table: Any, users: Any, lead: Any, covisits: Any) -> None:
    """A later dwell is no visit."""
    lead("item-1", covisits("item-5"))
    lead("item-2", covisits("item-6"))
    for item_id, kind in (("item-1", "click"), ("item-2", "click"), ("item-1", "dwell")):
        users.act("ann", item_id, kind=kind)
    assert list(shares(table, await find(table, users, "ann"))) == ["item-6"]


async def test_no_more_than_the_quota_is_found(
    table: Any, users: Any, lead: Any, covisits: Any
) -> None:
    """The best are kept."""
    lead("item-1", covisits("item-5", "item-6", "item-6"))
    users.act("ann", "item-1")
    assert list(shares(table, await find(table, users, "ann", quota=1))) == ["item-6"]


async def test_a_visit_that_was_rejected_since_leads_nowhere(
    table: Any, users: Any, lead: Any, covisits: Any
) -> None:
    """The visit before it leads on, and what a hide follows never does."""
    lead("item-1", covisits("item-5"))
    lead("item-2", covisits("item-6"))
    users.act("ann", "item-1")
    users.act("ann", "item-2")
    users.act("ann", "item-2", kind="hide")
    found = await find(table, users, "ann")
    assert {table.ids[row] for row in found.rows} == {"item-5"}
    assert {table.ids[row] for row in found.because} == {"item-1"}
