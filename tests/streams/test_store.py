"""Both stores write state and position together, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest

from freshet.core.errors import PositionError, ServiceError
from freshet.embedded.redis import RedisServer
from streams.memory_store import MemoryStore
from streams.packed import Packed
from streams.store import (
    NO_POSITION,
    Changes,
    Move,
    Position,
    RedisStore,
    Write,
    connect,
)

USERS = {"a": b"\0A", "b": b"B" * 2000}


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


def user_write(
    expected: int, position: Position, users: Mapping[str, bytes], side: str = "u1"
) -> Write:
    changes = Changes(f"n:{{{side}}}:users", list(users), Packed.of(list(users.values())))
    return Write(move(expected, position, side), [changes], {"users": list(users)})


async def apply_users(store: Any, expected: int, end: int) -> None:
    await store.apply([user_write(expected, {"next": end, "applied": 2}, USERS)])


async def test_a_new_store_has_no_position(store: Any) -> None:
    """And no records."""
    assert await store.position("n:{u1}:p") == {}
    assert await store.fields([("n:{i1}:h", ["x"])]) == [[None]]
    assert await store.fields([("n:{i1}:h", [])]) == [[]]


async def test_numbers_are_read_whole(store: Any) -> None:
    """Those that were written, without those that were deleted; none of a HASH that is not."""
    numbers, side = "n:{u1}:numbers", "u1"
    new = Changes(numbers, ["a", "b"], Packed.of([b"7", b"-1"]))
    await store.apply([Write(move(NO_POSITION, {"next": 1}, side), [new], {})])
    assert await store.numbers(numbers) == {"a": 7, "b": -1}
    await store.apply([Write(move(1, {"next": 2}, side), [Changes(numbers, delete=["a"])], {})])
    assert await store.numbers(numbers) == {"b": -1}
    assert await store.numbers("n:{u1}:none") == {}


async def test_state_and_position_come_together(store: Any) -> None:
    """What was written is read back."""
    await apply_users(store, NO_POSITION, 10)
    assert await store.position("n:{u1}:p") == {"next": 10, "applied": 2}
    assert await store.fields([("n:{u1}:users", [*USERS, "c"])]) == [[*USERS.values(), None]]


async def test_another_position_writes_nothing(store: Any) -> None:
    """Neither a batch that was applied nor one that comes too early."""
    await apply_users(store, NO_POSITION, 10)
    for expected in (NO_POSITION, 9, 11):
        with pytest.raises(PositionError) as caught:
            await store.apply([user_write(expected, {"next": 20}, {"a": b"!"})])
        assert (caught.value.found, caught.value.expected) == (10, expected)
    assert await store.fields([("n:{u1}:users", list(USERS))]) == [list(USERS.values())]
    assert (await store.position("n:{u1}:p"))["next"] == 10


async def test_partitions_are_written_each_for_itself(store: Any) -> None:
    """One that is elsewhere is refused, the others of the round are not harmed."""
    good = user_write(NO_POSITION, {"next": 1}, {"x": b"X"}, "u2")
    bad = user_write(7, {"next": 8}, {"y": b"Y"}, "u3")
    with pytest.raises(PositionError):
        await store.apply([good, bad])
    assert await store.fields([("n:{u2}:users", ["x"])]) == [[b"X"]]
    assert await store.fields([("n:{u3}:users", ["y"])]) == [[None]]


async def test_fields_are_put_and_deleted(store: Any) -> None:
    """Also more of them than one Redis command takes."""
    many = {f"i{n}": bytes([n % 256]) for n in range(5000)}
    changes = [
        Changes("n:{i1}:h", list(many), Packed.of(list(many.values()))),
        Changes("n:{i1}:g", ["x"], Packed.of([b"1"])),
    ]
    told = {"items": ["i0"], "covisits": []}
    await store.apply([Write(move(NO_POSITION, {"next": 1}, "i1"), changes, told)])
    changes = [Changes("n:{i1}:h", ["i1"], Packed.of([b"new"]), ["i0", "i4999"])]
    await store.apply([Write(move(1, {"next": 2}, "i1"), changes, told)])
    wanted = [("n:{i1}:h", ["i0", "i1", "i2", "i4999"]), ("n:{i1}:g", []), ("n:{i1}:g", ["x"])]
    assert await store.fields(wanted) == [[None, b"new", b"\x02", None], [], [b"1"]]
    assert await store.fields([("n:{i1}:g", ["x"])]) == [[b"1"]]


async def test_a_batch_of_rejects_moves_the_position_alone(store: Any) -> None:
    """No user changed, no change is told."""
    await store.apply([user_write(NO_POSITION, {"next": 3}, {})])
    assert await store.position("n:{u1}:p") == {"next": 3}


async def told(store: Any, changes_key: str) -> list[dict[str, list[Any]]]:
    """What followers of a side were told, write by write."""
    if isinstance(store, MemoryStore):
        return [ids for key, ids in store.changes if key == changes_key]
    decode = msgspec.msgpack.decode
    return [
        {what.decode(): decode(ids) for what, ids in entry.items()}
        for _, entry in await store._client.xrange(changes_key)
    ]


async def test_followers_are_told_what_changed(store: Any) -> None:
    """One entry per batch, in order; nothing where nothing changed, or where it was refused."""
    await apply_users(store, NO_POSITION, 10)
    changed = {"items": ["x"], "covisits": [7], "catalog": []}
    await store.apply([Write(move(NO_POSITION, {"next": 1}, "i1"), [], changed)])
    await store.apply([Write(move(1, {"next": 2}, "i1"), [], {"items": []})])
    await store.apply([Write(move(2, {"next": 3}, "i1"), [], {"items": ["y"]})])
    with pytest.raises(PositionError):
        await store.apply([Write(move(2, {"next": 3}, "i1"), [], {"items": ["z"]})])
    assert await told(store, "n:{u1}:c") == [{"users": ["a", "b"]}]
    assert await told(store, "n:{i1}:c") == [{"items": ["x"], "covisits": [7]}, {"items": ["y"]}]


@pytest.mark.services
async def test_a_redis_that_forgot_the_script_is_given_it_again(
    redis_server: RedisServer,
) -> None:
    """As after a restart."""
    client = connect(redis_server.url)
    store = RedisStore(client)
    await apply_users(store, NO_POSITION, 10)
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
