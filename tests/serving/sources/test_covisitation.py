"""What others visited next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.partition import item_hashes
from online_models.sources import visit_weights
from serving.profile import meet
from serving.sources.covisitation import find_covisits

HALF_LIFE_S = 3600.0


async def test_a_user_without_visits_gets_nothing(table: Any, users: Any) -> None:
    """Neither does one whose visits lead nowhere, or one who only dwelt."""
    users.act("bob", "item-1")
    users.act("carl", "item-2", kind="dwell")
    for user_id in ("nobody", "bob", "carl"):
        profile = meet(await users.get(user_id), table, None)
        assert find_covisits(table, profile, HALF_LIFE_S, 10).rows.tolist() == []


async def test_old_and_distant_transitions_weigh_less(
    table: Any, users: Any, covisits: Any
) -> None:
    """Half after a half-life, half at two visits' distance; nothing for what nobody knows."""
    blob = covisits(
        "item-10", "item-11", "item-12", "never", ages_s=[0, 3600, 0, 0], distances=[1, 1, 2, 1]
    )
    table.put_covisits(item_hashes(["item-1"]).tolist(), [blob])
    users.act("ann", "item-1")
    found = find_covisits(table, meet(await users.get("ann"), table, None), HALF_LIFE_S, 10)
    scores = {table.ids[row]: score for row, score in zip(found.rows, found.scores, strict=True)}
    assert scores == pytest.approx({"item-10": 1, "item-11": 0.5, "item-12": 0.5})
    assert (found.rows >= 0).all()


@pytest.mark.parametrize("visits", [["item-1", "item-2"], ["item-2", "item-1", "item-2"]])
async def test_the_last_visit_weighs_most(
    table: Any, users: Any, covisits: Any, visits: list[str]
) -> None:
    """Each distinct visit votes once with all its transitions; the votes for an item add up."""
    newest, before = visit_weights(2)
    first, last = item_hashes(["item-1", "item-2"]).tolist()
    table.put_covisits([first], [covisits("item-10", "item-11")])
    table.put_covisits([last], [covisits("item-11", "item-12", "item-12", "item-12")])
    for item_id in visits:
        users.act("ann", item_id)
    found = find_covisits(table, meet(await users.get("ann"), table, None), HALF_LIFE_S, 10)
    scores = {table.ids[row]: score for row, score in zip(found.rows, found.scores, strict=True)}
    assert scores == pytest.approx(
        {"item-12": 3 * newest, "item-11": newest + before, "item-10": before}
    )
    assert (np.diff(found.scores) <= 0).all()
    because = {
        table.ids[row]: table.ids[why] for row, why in zip(found.rows, found.because, strict=True)
    }
    assert because["item-12"] == "item-2"
    assert because["item-10"] == "item-1"


async def test_no_more_than_the_quota_is_found(table: Any, users: Any, covisits: Any) -> None:
    """The best are kept."""
    (last,) = item_hashes(["item-2"]).tolist()
    table.put_covisits([last], [covisits("item-5", "item-6", "item-6")])
    users.act("ann", "item-2")
    found = find_covisits(table, meet(await users.get("ann"), table, None), HALF_LIFE_S, 1)
    assert [table.ids[row] for row in found.rows] == ["item-6"]


async def test_a_visit_that_was_rejected_since_does_not_vote(
    table: Any, users: Any, covisits: Any
) -> None:
    """Neither for what came after it, nor as a reason."""
    first, last = item_hashes(["item-1", "item-2"]).tolist()
    table.put_covisits([first], [covisits("item-10")])
    table.put_covisits([last], [covisits("item-10", "item-11")])
    users.act("ann", "item-1")
    users.act("ann", "item-2")
    users.act("ann", "item-2", kind="report")
    found = find_covisits(table, meet(await users.get("ann"), table, None), HALF_LIFE_S, 10)
    assert [table.ids[row] for row in found.rows] == ["item-10"]
    assert found.scores.tolist() == [1]
    assert {table.ids[row] for row in found.because} == {"item-1"}
