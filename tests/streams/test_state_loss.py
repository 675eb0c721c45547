"""State without its position, and a position without its state: refused, and only when sure."""

from __future__ import annotations

import pytest

from freshet.core.errors import SettingError
from streams.memory_store import MemoryStore
from streams.state_loss import Held, whole_position

HELD = Held(["n:users", "n:ids"], "n:users")
KEY = "n:position"


def store(position: dict[str, int], **hashes: dict[str, bytes]) -> MemoryStore:
    """A store with a position and some HASHes."""
    made = MemoryStore()
    made.positions[KEY] = position
    made.hashes = {f"n:{name}": fields for name, fields in hashes.items()}
    return made


@pytest.mark.parametrize(
    ("position", "users"),
    [
        ({}, {}),
        ({"next": 5}, {}),  # heartbeats alone
        ({"next": 5, "applied": 0, "rejected": 5}, {}),
        ({"next": 5, "applied": 2}, {"ann": b"x"}),
        ({"next": 5, "applied": 2, "erasures": 1}, {}),  # all may have been erased
    ],
)
async def test_what_may_be_is_taken_as_it_is(
    position: dict[str, int], users: dict[str, bytes]
) -> None:
    """A new partition, an idle one, a full one, one whose people have gone."""
    assert await whole_position(store(position, users=users), "events-0", KEY, HELD) == position


@pytest.mark.parametrize("name", ["users", "ids"])
async def test_state_without_a_position_is_refused(name: str) -> None:
    """It would be counted again: the sentence says what was found, why, and what to do."""
    found = store({}, **{name: {"ann": b"x"}})
    with pytest.raises(SettingError) as caught:
        await whole_position(found, "events-3", KEY, HELD)
    said = str(caught.value)
    assert "position of events-3 is 'missing'" in said
    assert f"n:{name}" in said
    assert "maxmemory-policy" in said


async def test_a_position_without_its_state_is_refused() -> None:
    """It would be lost, without a word."""
    with pytest.raises(SettingError, match="state of events-3 is 'missing'"):
        await whole_position(store({"next": 5, "applied": 2}), "events-3", KEY, HELD)


async def test_a_fold_that_holds_nothing_has_nothing_to_lose() -> None:
    """Its position is all there is."""
    position = {"next": 5, "applied": 2}
    assert await whole_position(store(position), "catalog-0", KEY, Held()) == position


class Racing(MemoryStore):
    """A store to which another worker writes, state and position together, between two looks."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = writes

    async def position(self, key: str) -> dict[str, int]:
        """The position before the write that comes next."""
        found = await super().position(key)
        if self.writes:
            self.writes -= 1
            self.hashes["n:users"] = {"ann": b"x"}
            self.positions[KEY] = {"next": found.get("next", 0) + 1, "applied": 1}
        return found


@pytest.mark.parametrize("writes", [1, 2, 99])
async def test_what_another_worker_writes_meanwhile_is_no_loss(writes: int) -> None:
    """The position is read again before anything is said."""
    found = await whole_position(Racing(writes), "events-0", KEY, HELD)
    assert found["next"] >= 1
