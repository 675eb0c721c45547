"""Both stores write state and position together, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from freshet.core.errors import PositionError, ServiceError
from freshet.embedded.redis import RedisServer
from streams.store import (
    NO_POSITION,
    FieldChanges,
    FieldWrite,
    Move,
    Position,
    RedisStore,
    UserWrite,
    connect,
)

from .memory_store import MemoryStore

PREFIX = "n:{u1}:user:"
USERS = {"a": b"\0A", "b": b"B" * 2000}
KEYS = [PREFIX + user_id for user_id in USERS]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryStore()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    client = connect(server.url)
    yield RedisStore(client)
    await client.aclose()


def move(expected: int, position: Position, side: str = "u1") -> Move:
    return Move(f"n:{{{side}}}:p", f"n:{{{side}}}:c", expected, position)


async def apply_users(store: Any, expected: int, end: int) -> None:
    position = {"next": end, "applied": 2}
    await store.apply_users([UserWrite(move(expected, position), PREFIX, USERS, 60)])


async def test_a_new_store_has_no_position(store: Any) -> None:
    """And no records."""
    assert await store.position("n:{u1}:p") == {}
    assert await store.strings(["n:{u1}:user:a"]) == [None]
    assert await store.fields("n:{i1}:h", ["x"]) == [None]
    assert await store.strings([]) == []


async def test_state_and_position_come_together(store: Any) -> None:
    """What was written is read back."""
    await apply_users(store, NO_POSITION, 10)
    assert await store.position("n:{u1}:p") == {"next": 10, "applied": 2}
    assert await store.strings([*KEYS, "n:{u1}:user:c"]) == [*USERS.values(), None]


async def test_another_position_writes_nothing(store: Any) -> None:
    """Neither a batch that was applied nor one that comes too early."""
    await apply_users(store, NO_POSITION, 10)
    for expected in (NO_POSITION, 9, 11):
        write = UserWrite(move(expected, {"next": 20}), PREFIX, {"a": b"!"}, 60)
        with pytest.raises(PositionError) as caught:
            await store.apply_users([write])
        assert (caught.value.found, caught.value.expected) == (10, expected)
    assert await store.strings(KEYS) == list(USERS.values())
    assert (await store.position("n:{u1}:p"))["next"] == 10


async def test_partitions_are_written_each_for_itself(store: Any) -> None:
    """One that is elsewhere is refused, the others of the round are not harmed."""
    good = UserWrite(move(NO_POSITION, {"next": 1}, "u2"), "n:{u2}:user:", {"x": b"X"}, 60)
    bad = UserWrite(move(7, {"next": 8}, "u3"), "n:{u3}:user:", {"y": b"Y"}, 60)
    with pytest.raises(PositionError):
        await store.apply_users([good, bad])
    assert await store.strings(["n:{u2}:user:x", "n:{u3}:user:y"]) == [b"X", None]


async def test_fields_are_put_and_deleted(store: Any) -> None:
    """Also more of them than one Redis command takes."""
    many = {f"i{n}": bytes([n % 256]) for n in range(5000)}
    changes = [FieldChanges("n:{i1}:h", many), FieldChanges("n:{i1}:g", {"x": b"1"})]
    told = {"items": ["i0"], "covisits": []}
    await store.apply_fields([FieldWrite(move(NO_POSITION, {"next": 1}, "i1"), changes, told)])
    changes = [FieldChanges("n:{i1}:h", {"i1": b"new"}, ["i0", "i4999"])]
    await store.apply_fields([FieldWrite(move(1, {"next": 2}, "i1"), changes, told)])
    found = await store.fields("n:{i1}:h", ["i0", "i1", "i2", "i4999"])
    assert found == [None, b"new", b"\x02", None]
    assert await store.fields("n:{i1}:g", ["x"]) == [b"1"]


async def test_a_batch_of_rejects_moves_the_position_alone(store: Any) -> None:
    """No user changed, no change is told."""
    await store.apply_users([UserWrite(move(NO_POSITION, {"next": 3}), PREFIX, {}, 60)])
    assert await store.position("n:{u1}:p") == {"next": 3}


@pytest.mark.services
async def test_followers_are_told_what_changed(redis_server: RedisServer) -> None:
    """One entry per batch, ids in msgpack."""
    client = connect(redis_server.url)
    store = RedisStore(client)
    await apply_users(store, NO_POSITION, 10)
    told = {"items": ["x"], "covisits": [7]}
    await store.apply_fields([FieldWrite(move(NO_POSITION, {"next": 1}, "i1"), [], told)])
    [(_, users)] = await client.xrange("n:{u1}:c")
    [(_, items)] = await client.xrange("n:{i1}:c")
    assert msgspec.msgpack.decode(users[b"users"]) == ["a", "b"]
    assert msgspec.msgpack.decode(items[b"items"]) == ["x"]
    assert msgspec.msgpack.decode(items[b"covisits"]) == [7]
    await client.aclose()


@pytest.mark.services
async def test_records_have_a_lifetime_and_scripts_survive_a_restart(
    redis_server: RedisServer,
) -> None:
    """A Redis that forgot its scripts is given them again."""
    client = connect(redis_server.url)
    store = RedisStore(client)
    await apply_users(store, NO_POSITION, 10)
    assert 0 < await client.ttl("n:{u1}:user:a") <= 60
    await client.script_flush()
    await apply_users(store, 10, 20)
    assert (await store.position("n:{u1}:p"))["next"] == 20
    await client.aclose()


async def test_a_redis_that_is_away_is_a_service_error() -> None:
    """The worker ends on it."""
    client = connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(ServiceError, match="redis"):
        await RedisStore(client).position("n:{u1}:p")
    await client.aclose()
