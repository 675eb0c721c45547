"""`streams/scripts/apply.lua` in a Redis of its own: every field, whatever the chunks are.

Without a mark, since a bug here loses state in silence: a Redis starts in a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from freshet.core.errors import PositionError, ServiceError
from freshet.core.state.client import together
from freshet.embedded.redis import RedisServer
from streams.packed import Packed
from streams.store import NO_POSITION, Changes, Move, RedisStore, Write, connect

CHUNK = 4_000  # arguments of one command of the script: 2,000 fields with their values
POSITION, CHANGES, FIELDS, OTHERS = "n:{u1}:p", "n:{u1}:c", "n:{u1}:h", "n:{u1}:g"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis for all tests of this file."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    """A look at what is stored, from nothing on."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


async def write(
    server: RedisServer, expected: int, end: int, *hashes: Changes, **changed: list[str]
) -> None:
    """Write with a client of this test's loop."""
    connection = connect(server.url)
    try:
        move = Move(POSITION, CHANGES, expected, {"next": end, "applied": 1})
        await RedisStore(connection).apply([Write(move, hashes, changed)])
    finally:
        await connection.aclose()


def values(count: int) -> dict[str, bytes]:
    """So many fields, each with bytes of its own of a length of its own."""
    return {f"field-{n}": b"%d:" % n + bytes([n % 256]) * (n % 5) for n in range(count)}


def put(key: str, fields: dict[str, bytes], delete: list[str] | None = None) -> Changes:
    """Fields of a HASH that are set, and some that are deleted."""
    return Changes(key, list(fields), Packed.of(list(fields.values())), delete or [])


EDGES = sorted(
    {0, 1, 2, 15_000, *(CHUNK // 2 * n + d for n in (1, 2, 3) for d in (-2, -1, 0, 1, 2))}
)


@pytest.mark.parametrize("count", EDGES)
async def test_every_field_is_written(server: RedisServer, client: Any, count: int) -> None:
    """Just below, at and above whole chunks, and as many as a large batch has."""
    fields = values(count)
    await write(server, NO_POSITION, 10, put(FIELDS, fields), put(OTHERS, {"last": b"one"}))
    assert client.hgetall(FIELDS) == {name.encode(): value for name, value in fields.items()}
    assert client.hgetall(OTHERS) == {b"last": b"one"}
    assert client.hgetall(POSITION) == {b"next": b"10", b"applied": b"1"}


@pytest.mark.parametrize(
    "count", [1, 2, *(CHUNK * n + d for n in (1, 2) for d in (-2, -1, 0, 1, 2))]
)
async def test_every_field_is_deleted(server: RedisServer, client: Any, count: int) -> None:
    """A chunk of deletions is twice as many fields; what is not named stays."""
    fields = values(count + 3)
    await write(server, NO_POSITION, 10, put(FIELDS, fields))
    gone = list(fields)[:count]
    await write(server, 10, 20, put(FIELDS, {"field-0": b"again"}, gone))
    kept = {name.encode(): fields[name] for name in list(fields)[count:]}
    assert client.hgetall(FIELDS) == kept | {b"field-0": b"again"}


async def test_bytes_are_kept_as_they_are(server: RedisServer, client: Any) -> None:
    """Empty values, zeros, line ends and what is no UTF-8."""
    fields = {"": b"", "zero": b"\0" * 3, "all": bytes(range(256)), "\u00e9 \n": b"\xff\xfe\r\n"}
    await write(server, NO_POSITION, 1, put(FIELDS, fields))
    assert client.hgetall(FIELDS) == {name.encode(): value for name, value in fields.items()}


@pytest.mark.parametrize("expected", [NO_POSITION, 9, 11])
async def test_another_position_writes_nothing_at_all(
    server: RedisServer, client: Any, expected: int
) -> None:
    """Neither fields nor position nor a word to the followers."""
    await write(server, NO_POSITION, 10, put(FIELDS, values(3)), users=["a"])
    before = client.hgetall(FIELDS), client.hgetall(POSITION), client.xlen(CHANGES)
    with pytest.raises(PositionError) as caught:
        await write(server, expected, 20, put(FIELDS, {"new": b"!"}, ["field-0"]), users=["b"])
    assert (caught.value.found, caught.value.expected) == (10, expected)
    assert (client.hgetall(FIELDS), client.hgetall(POSITION), client.xlen(CHANGES)) == before


async def test_a_write_is_one_command(server: RedisServer, client: Any) -> None:
    """Position and state in one script: nothing that ends a worker comes between the two."""
    await write(server, NO_POSITION, 10, put(FIELDS, values(3)))  # Redis knows the script now
    seen = []
    with client.monitor() as monitor:
        await write(server, 10, 20, put(FIELDS, values(9_000)), users=["a"])
        client.ping()
        for command in monitor.listen():
            seen.append(command)
            if command["command"] == "PING":
                break
    sent = [each["command"].split()[0] for each in seen if each["client_type"] != "lua"]
    written = {each["command"].split()[0] for each in seen if each["client_type"] == "lua"}
    assert [name for name in sent if name not in {"CLIENT", "PING", "HELLO", "SELECT"}] == [
        "EVALSHA"
    ]
    assert written == {"HGET", "HSET", "XADD", "TIME", "XTRIM"}


async def test_a_script_that_fails_is_an_error(server: RedisServer, client: Any) -> None:
    """A key of another type: the worker ends."""
    client.set(FIELDS, b"no hash")
    with pytest.raises(ServiceError, match="WRONGTYPE"):
        await write(server, NO_POSITION, 10, put(FIELDS, values(1)))


async def test_the_changes_stream_is_bounded(server: RedisServer, client: Any) -> None:
    """Redis trims it a node at a time, so a few more may be there."""
    connection = connect(server.url)
    store = RedisStore(connection)
    for number in range(1_300):
        move = Move(POSITION, CHANGES, number - 1 if number else NO_POSITION, {"next": number})
        await store.apply([Write(move, [], {"users": [str(number)]})])
    assert 1_000 <= client.xlen(CHANGES) < 1_200
    assert await together(connection, []) == []
    await connection.aclose()


async def test_changes_are_told_for_some_minutes(server: RedisServer, client: Any) -> None:
    """They name people, also erased ones; any write drops the old ones."""
    now_ms = int(client.time()[0]) * 1000
    client.xadd(CHANGES, {"users": "old"}, id=f"{now_ms - 601_000}-0")
    client.xadd(CHANGES, {"users": "new"}, id=f"{now_ms - 500_000}-0")
    await write(server, NO_POSITION, 1)
    assert [entry[b"users"] for _, entry in client.xrange(CHANGES)] == [b"new"]
