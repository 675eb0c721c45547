"""What the user acted on before the history."""

from __future__ import annotations

from typing import Any

from freshet.core.state.records import HISTORY_LENGTH
from serving.profile import meet
from serving.sources.past import find_past


async def test_the_past_is_found_by_what_stood_beside_the_last_visit(
    table: Any, users: Any
) -> None:
    """Twice near is nearer; then by how often. What the history holds is not found."""
    for number in (1, 2, 2, 3, *[9] * (HISTORY_LENGTH - 9), 4, 4, 5, 6, 7):
        users.act("ann", f"item-{number}")
    for number in [8] * (HISTORY_LENGTH - 1) + [6]:
        users.act("ann", f"item-{number}")
    profile = meet(await users.get("ann"), table, None)
    found = find_past(profile, 10)
    assert [table.ids[row] for row in found.rows] == [
        "item-4", "item-5", "item-7", "item-9", "item-2", "item-1", "item-3"
    ]  # fmt: skip
    assert find_past(profile, 2).rows.tolist() == found.rows[:2].tolist()


async def test_who_has_no_more_than_a_history_has_no_past(table: Any, users: Any) -> None:
    """Nor who was never seen."""
    for number in range(HISTORY_LENGTH):
        users.act("ann", f"item-{number}")
    for user_id in ("ann", "nobody"):
        assert not len(find_past(meet(await users.get(user_id), table, None), 10).rows)


async def test_what_was_rejected_does_not_come_back_as_the_past(table: Any, users: Any) -> None:
    """However often it was acted on; taken back, it does."""
    for _ in range(5):
        users.act("ann", "item-1")
    users.act("ann", "item-2")
    users.act("ann", "item-1", kind="hide")
    for _ in range(2 * HISTORY_LENGTH):
        users.act("ann", "item-3")
    found = find_past(meet(await users.get("ann"), table, None), 10)
    assert [table.ids[row] for row in found.rows] == ["item-2"]
    users.act("ann", "item-1", kind="like")
    for _ in range(2 * HISTORY_LENGTH):
        users.act("ann", "item-3")
    found = find_past(meet(await users.get("ann"), table, None), 10)
    assert {table.ids[row] for row in found.rows} == {"item-1", "item-2"}
