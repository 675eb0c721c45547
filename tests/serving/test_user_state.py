"""Reading users: one GET, and a memory for when Redis does not answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.codec import event_hash
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import CLICK
from freshet.core.state.client import connect_async
from freshet.core.state.keys import Keys
from freshet.core.state.past import page_field
from freshet.core.state.records import (
    RECENT_EVENT_IDS,
    applied_events,
    unpack_users,
)
from freshet.core.state.unwanted import UNWANTED_DTYPE
from serving import user_state
from serving.user_state import RedisUserStates, cold_user
from streams.user_packing import pack_users

KEYS = Keys("test")


def _client(url: str) -> Any:
    return connect_async(url, timeout_s=1.0)


async def _write(client: Any, user_id: str, applied: int) -> None:
    users = unpack_users([None])
    users["type_counts"][0, CLICK] = applied
    users["recent_events"][0, (applied - 1) % RECENT_EVENT_IDS] = event_hash(f"e{applied}")
    await client.hset(KEYS.users(partition_of(user_id, 4)), user_id, pack_users(users).joined)


def test_a_cold_user_holds_nothing() -> None:
    """Unknown, of the first segment, without events."""
    user = cold_user()
    assert not user.known
    assert user.segment == 0
    assert not user.holds("e1")


@pytest.mark.parametrize(("applied", "segment"), [(1, 1), (5, 2), (20, 3), (33, 3)])
def test_a_user_holds_its_recent_events(applied: int, segment: int) -> None:
    """Those in the ring, wherever its head stands."""
    users = unpack_users([None])
    users["type_counts"][0, CLICK] = applied
    for number in range(1, applied + 1):
        users["recent_events"][0, (number - 1) % RECENT_EVENT_IDS] = event_hash(f"e{number}")
    user = user_state.UserState(users[0])
    assert user.segment == segment
    assert user.holds(f"e{applied}")
    assert user.holds("e1") == (applied <= RECENT_EVENT_IDS)
    assert not user.holds("another")


@pytest.mark.services
async def test_a_user_is_read_from_its_partition(redis_server: Any) -> None:
    """An unknown one is cold, and both are remembered."""
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4)
        assert states.remembered("ann") is None
        assert not (await states.get("nobody")).known
        await _write(client, "ann", 3)
        assert applied_events((await states.get("ann")).record) == 3
        remembered = states.remembered("ann")
        assert remembered is not None
        assert np.array_equal(remembered.record, (await states.get("ann")).record)


@pytest.mark.services
async def test_the_past_is_read_with_the_user(redis_server: Any) -> None:
    """And remembered with it."""
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4)
        await _write(client, "ann", 120)
        for page in range(2):
            items = np.arange(1 + 50 * page, 51 + 50 * page, dtype="<u4")
            key = KEYS.past(partition_of("ann", 4))
            await client.hset(key, page_field("ann", page), items.tobytes())
        for user in (await states.get("ann"), states.remembered("ann")):
            assert user is not None
            assert user.past.tolist() == list(range(1, 101))[::-1]


@pytest.mark.services
async def test_what_the_user_rejected_is_read_with_them(redis_server: Any) -> None:
    """In the same journey, and remembered; nothing for who rejected nothing."""
    rows = np.array([(7, 200, 8), (9, 100, 5)], UNWANTED_DTYPE)
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4)
        for user_id in ("ann", "bob"):
            await _write(client, user_id, 3)
        await client.hset(KEYS.unwanted(partition_of("ann", 4)), "ann", rows.tobytes())
        for user in (await states.get("ann"), states.remembered("ann")):
            assert user is not None
            assert user.unwanted.tolist() == rows.tolist()
        assert len((await states.get("bob")).unwanted) == 0


@pytest.mark.services
async def test_a_dead_redis_is_told_quickly_and_asked_again_later(
    redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment nobody waits for it; then it is asked again, and serves."""
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4)
        await states.get("ann")
        redis_server.kill()
        with pytest.raises(ServiceError, match="cannot be read"):
            await states.get("ann")
        with pytest.raises(ServiceError, match="a moment ago"):
            await states.get("ann")
        assert states.remembered("ann") is not None
        redis_server.start()
        monkeypatch.setattr(states, "_retry_at", 0.0)
        assert not (await states.get("ann")).known


@pytest.mark.services
async def test_the_memory_is_bounded(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user read longest ago is forgotten."""
    monkeypatch.setattr(user_state, "REMEMBERED_USERS", 2)
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4)
        for user_id in ("a", "b", "a", "c"):
            await states.get(user_id)
        assert states.remembered("b") is None
        assert states.remembered("a") is not None


async def test_an_answer_that_may_be_older_than_an_erasure_is_not_remembered() -> None:
    """The read was on its way when the person was erased."""
    blob = pack_users(unpack_users([None])).joined

    class Slow:
        async def execute_command(self, command: str, key: str, *fields: str) -> Any:
            if fields[0] == "ann":
                users.forget(["ann"])
            return [blob if key.endswith(":users") else None for _ in fields]

    users = RedisUserStates(Slow(), KEYS, 4)  # type: ignore[arg-type]
    for user_id in ("ann", "bob"):
        await users.get(user_id)
    assert users.remembered("ann") is None
    assert users.remembered("bob") is not None


@pytest.mark.services
async def test_users_who_are_wanted_at_once_are_read_together(redis_server: Any) -> None:
    """Each with its own record, rejections and past, over a connection, whatever the partition."""
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4)
        names = [f"user-{number}" for number in range(20)]
        for number, name in enumerate(names):
            partition = partition_of(name, 4)
            await _write(client, name, 60 + number)
            if number % 2:
                rows = np.array([(number, 200, 8)], UNWANTED_DTYPE)
                await client.hset(KEYS.unwanted(partition), name, rows.tobytes())
            if number % 3:
                page = np.full(50, number + 1, "<u4").tobytes()
                await client.hset(KEYS.past(partition), page_field(name, 0), page)
        found = await asyncio.gather(*(states.get(name) for name in [*names, "nobody"]))
        assert not found.pop().known
        for number, user in enumerate(found):
            assert applied_events(user.record) == 60 + number
            assert user.unwanted["item"].tolist() == ([number] if number % 2 else [])
            assert user.past.tolist() == ([number + 1] * 50 if number % 3 else [])
        clients = await client.client_list()
        assert len(clients) <= 2


@pytest.mark.services
async def test_a_busy_loop_opens_no_breaker(redis_server: Any) -> None:
    """Redis replies at once; it is this process that reads the replies late."""
    async with _client(redis_server.url) as client:
        states = RedisUserStates(client, KEYS, 4, timeout_s=0.03)
        await _write(client, "ann", 3)
        busy = asyncio.create_task(_block_the_loop(turns=20, of_s=0.05))
        for _ in range(3):
            assert applied_events((await states.get("ann")).record) == 3
        busy.cancel()


@pytest.mark.services
async def test_a_paused_redis_opens_the_breaker(redis_server: Any) -> None:
    """The timeout of Redis, in a process that has time; whoever waits for a turn fails with it."""
    async with _client(redis_server.url) as client, _client(redis_server.url) as other:
        states = RedisUserStates(client, KEYS, 4, timeout_s=0.03)
        await _write(client, "ann", 3)
        await states.get("ann")
        await other.client_pause(300, all=True)
        with pytest.raises(ServiceError, match="no reply within 30 ms"):
            await states.get("ann")
        with pytest.raises(ServiceError, match="a moment ago"):
            await states.get("ann")
        assert states.remembered("ann") is not None


async def _block_the_loop(turns: int, of_s: float) -> None:
    for _ in range(turns):
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < of_s:
            pass
        await asyncio.sleep(0)
