"""What was visited in the sessions that resemble the user's last visits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from online_models.session_knn import DECAY, SPREAD
from serving.item_table import ItemTable
from serving.profile import meet
from serving.sources.found import Found
from serving.sources.neighbours import find_neighbours
from serving.user_sessions import UserSessions


@pytest.fixture
def walked(users: Any, sessions: UserSessions) -> None:
    """Others came past items 1 and 2 to 10, and past 2 to 11; Ann has seen 1 and 2."""
    for name, numbers in {"bob": (1, 2, 10), "carl": (2, 11), "ann": (1, 2)}.items():
        for number in numbers:
            users.act(name, f"item-{number}")
    read(users, sessions)


def read(users: Any, sessions: UserSessions) -> None:
    sessions.put(list(users.records), np.array(list(users.records.values())))


async def find(
    table: ItemTable, users: Any, sessions: UserSessions, user_id: str, quota: int = 10
) -> Found:
    return find_neighbours(sessions.index, meet(await users.get(user_id), table, None), quota)


async def test_a_user_without_visits_gets_nothing(
    table: ItemTable, users: Any, sessions: UserSessions
) -> None:
    """Nor does one whose visits nobody shares, or who only dwelt."""
    users.act("bob", "item-1")
    users.act("carl", "item-2", kind="dwell")
    users.act("dora", "unheard of")
    read(users, sessions)
    for user_id in ("nobody", "bob", "carl", "dora"):
        assert (await find(table, users, sessions, user_id)).rows.tolist() == []


async def test_who_shares_more_says_more(
    table: ItemTable, users: Any, sessions: UserSessions, walked: None
) -> None:
    """The newest item weighs most; what the user has seen is not found."""
    found = await find(table, users, sessions, "ann")
    next_to = np.exp(-1 / SPREAD)
    assert [table.ids[row] for row in found.rows] == ["item-10", "item-11"]
    assert found.scores == pytest.approx([(1 + DECAY) * next_to, next_to], rel=1e-5)


async def test_no_more_than_the_quota_is_found(
    table: ItemTable, users: Any, sessions: UserSessions, walked: None
) -> None:
    """The best are kept."""
    found = await find(table, users, sessions, "ann", quota=1)
    assert [table.ids[row] for row in found.rows] == ["item-10"]


async def test_a_visit_that_was_rejected_since_finds_no_neighbours(
    table: ItemTable, users: Any, sessions: UserSessions, walked: None
) -> None:
    """Of items 1 and 2 the first alone asks, and shares no session with item 11."""
    users.act("ann", "item-2", kind="dislike")
    found = await find(table, users, sessions, "ann")
    assert [table.ids[row] for row in found.rows] == ["item-10"]
