"""Following users of a real Redis: loading, changes, erasures, and what there is no time for."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from freshet.core.events.partition import partition_of
from freshet.core.metrics import USERS_UNREAD
from freshet.core.state.client import AsyncClient
from freshet.core.state.keys import Keys
from freshet.core.state.records import unpack_users
from serving import partitioned_hashes, session_follower
from serving.answer import Query
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.moment import State, hydrate
from serving.pipeline import funnel
from serving.session_follower import SessionFollower
from serving.user_sessions import UserSessions
from streams.user_packing import pack_users

from .conftest import until

pytestmark = pytest.mark.services

KEYS = Keys("test")
P = 4


@pytest.fixture
def follower(
    redis_client: AsyncClient, item_state: ItemState, sessions: UserSessions, state: State
) -> SessionFollower:
    """Follows the test's Redis."""
    return SessionFollower(redis_client, KEYS, P, item_state, sessions, state.sources)


@pytest.fixture
def visit(redis_client: AsyncClient, users: Any) -> Any:
    """Writes a user's record with one visit more, as the fold would."""

    async def write(user_id: str, item_id: str, ts_ms: int = 0) -> None:
        users.act(user_id, item_id, ts_ms=ts_ms)
        records = np.array([users.records[user_id]])
        blob = pack_users(records).joined
        await redis_client.hset(KEYS.users(partition_of(user_id, P)), user_id, blob)
        assert unpack_users([blob])["history_ts_s"] == records["history_ts_s"]

    return write


def with_item(table: ItemTable, sessions: UserSessions, item_id: str) -> int:
    slots, _ = sessions.index.of_items(table.rows([item_id]))
    return len(slots)


async def test_all_are_loaded_by_their_newest_event(
    follower: SessionFollower, sessions: UserSessions, table: ItemTable, visit: Any
) -> None:
    """From all partitions, the oldest first, so that these are the first to go."""
    for number in range(30):
        await visit(f"user-{number}", f"item-{number}", ts_ms=1_763_800_000_000 - 1000 * number)
    await follower.load()
    assert len(sessions.index) == 30
    oldest_first = sessions.index.items[:30, 0].tolist()
    assert [table.ids[row] for row in oldest_first] == [f"item-{n}" for n in range(29, -1, -1)]


async def test_no_more_users_are_loaded_than_sessions_are_kept(
    follower: SessionFollower,
    sessions: UserSessions,
    visit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """About: the last chunk of a partition is taken whole."""
    monkeypatch.setattr(session_follower, "SESSIONS_KEPT", 4)
    monkeypatch.setattr(partitioned_hashes, "CHUNK", 10)
    for number in range(200):
        await visit(f"user-{number}", "item-1")
    await follower.load()
    assert 4 <= len(sessions.index) < 120


async def test_who_changes_is_read_again(
    follower: SessionFollower, sessions: UserSessions, table: ItemTable, visit: Any
) -> None:
    """Once for all changes since the last time; nobody else is."""
    for user_id in ("ann", "bob"):
        await visit(user_id, "item-1")
    await visit("ann", "item-2")
    follower.notify(["ann", "nobody"])
    follower.notify(["ann"])
    await follower.read_changed()
    assert with_item(table, sessions, "item-1") == 1
    assert with_item(table, sessions, "item-2") == 1
    await visit("ann", "item-3")
    await follower.read_changed()
    assert with_item(table, sessions, "item-3") == 0


async def test_a_burst_is_read_bit_by_bit(
    follower: SessionFollower,
    sessions: UserSessions,
    visit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who changed first is read first; who changes meanwhile need not wait twice."""
    monkeypatch.setattr(session_follower, "AT_ONCE", 2)
    for user_id in ("ann", "bob", "carl"):
        await visit(user_id, "item-1")
    follower.notify(["ann", "bob", "carl"])
    await follower.read_changed()
    follower.notify(["carl", "ann"])
    assert [sessions.index.knows(name) for name in ("ann", "bob", "carl")] == [True, True, False]
    await follower.read_changed()
    assert sessions.index.knows("carl")


async def test_who_is_seen_twice_while_all_are_loaded_is_taken_in_once(
    follower: SessionFollower,
    sessions: UserSessions,
    visit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A walk over a HASH that grows may come past a field again."""
    await visit("ann", "item-1")

    async def twice(*args: Any) -> Any:
        async for fields in chunks(*args):
            yield fields
            yield fields

    chunks = session_follower.chunks
    monkeypatch.setattr(session_follower, "chunks", twice)
    await follower.load()
    assert len(sessions.index) == 1


async def test_what_there_is_no_time_for_is_counted(
    follower: SessionFollower,
    sessions: UserSessions,
    visit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three change at once, two wait and are read."""
    monkeypatch.setattr(session_follower, "MOST_WAITING", 2)
    for user_id in ("ann", "bob", "carl"):
        await visit(user_id, "item-1")
    before = USERS_UNREAD._value.get()
    follower.notify(["ann", "bob", "carl"])
    follower.notify(["ann"])
    await follower.read_changed()
    assert len(sessions.index) == 2
    assert USERS_UNREAD._value.get() - before == 1


async def test_who_is_erased_while_users_are_read_does_not_come_back(
    follower: SessionFollower,
    sessions: UserSessions,
    visit: Any,
    redis_client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Read before the erasure, taken in after it: everyone of that reading is read once more."""
    for user_id in ("ann", "bob"):
        await visit(user_id, "item-1")
    follower.notify(["ann", "bob"])
    fetch = session_follower.fetch

    async def erased_meanwhile(*args: Any) -> Any:
        found = await fetch(*args)
        await redis_client.hdel(KEYS.users(partition_of("ann", P)), "ann")
        follower.forget(["ann"])
        return found

    monkeypatch.setattr(session_follower, "fetch", erased_meanwhile)
    await follower.read_changed()
    assert len(sessions.index) == 0
    monkeypatch.setattr(session_follower, "fetch", fetch)
    await follower.read_changed()
    assert sessions.index.knows("bob")
    assert not sessions.index.knows("ann")


async def test_it_begins_once_the_items_are_known(
    follower: SessionFollower,
    item_state: ItemState,
    sessions: UserSessions,
    visit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And loads everyone again when an erasure may have been missed."""
    monkeypatch.setattr(session_follower, "READ_EVERY_S", 0.001)
    await visit("ann", "item-1")
    item_state.following = False
    following = asyncio.create_task(follower.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(sessions.index) == 0
    item_state.following = True
    await until(lambda: len(sessions.index) == 1)
    before = sessions.index
    follower.forget_all()
    await until(lambda: sessions.index is not before and len(sessions.index) == 1)
    following.cancel()


async def test_what_the_sources_are_worth_is_learned_from_what_is_read(
    follower: SessionFollower, state: State, visit: Any
) -> None:
    """Ann and Bob ask and visit; Ann is erased before her record is read."""
    for user_id in ("ann", "bob"):
        query = Query(user=user_id)
        moment = await hydrate(state, user_id, None)
        state.sources.note(moment, funnel(moment, query).ranked.union, query)
        await visit(user_id, "item-1")
    follower.notify(["ann", "bob"])
    follower.forget(["ann"])
    await follower.read_changed()
    assert state.sources.visits == 1
