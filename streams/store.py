"""The state store of the folds: read records, write them together with the position.

Law 1 lives here: state and position change in one atomic script or not at all, and a script whose
caller is not where Redis is writes nothing. The scripts of a round, one per partition, travel
together; each is atomic by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

import msgspec
from redis.exceptions import NoScriptError

from freshet.core.errors import PositionError, ServiceError
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, Where, connect_async, together
from freshet.core.state.keys import CHANGES_KEPT, CHANGES_KEPT_S
from streams.packed import NOTHING, Packed

NO_POSITION = -1
LOADED_AT_ONCE = 500  # fields of a HASH in one command when a partition is assigned
_ENCODE = msgspec.msgpack.Encoder().encode


Wanted = Sequence[tuple[str, Sequence[str]]]
"""Keys of HASHes, and fields of each."""

Position = dict[str, int]
"""Fields of a position HASH; `next` is the next offset to apply."""


@dataclass(frozen=True, slots=True)
class Move:
    """A position that moves.

    Attributes:
        key: HASH of the position.
        changes_key: STREAM that tells followers.
        expected: the `next` that the caller left there, `NO_POSITION` for none.
        position: the new fields, `next` among them.
    """

    key: str
    changes_key: str
    expected: int
    position: Position


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes to one HASH: fields, their new values, and fields to delete."""

    key: str
    names: Sequence[str] = ()
    values: Packed = NOTHING
    delete: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """HASHes that change together with a position; `changed` names ids for the followers."""

    move: Move
    hashes: Sequence[Changes]
    changed: Mapping[str, Sequence[Any]]


class Store(Protocol):
    """Where the folds keep their state."""

    async def position(self, key: str) -> Position:
        """Return the position, without `next` when there is none yet."""

    async def fields(self, wanted: Wanted) -> list[list[bytes | None]]:
        """Return the values of some fields of some HASHes, one list for each."""

    async def numbers(self, key: str) -> dict[str, int]:
        """Return all fields of a HASH of numbers."""

    async def scan(self, key: str, cursor: int, count: int) -> tuple[int, dict[bytes, bytes]]:
        """Return some fields of a HASH and where to go on; from 0, until 0 comes back.

        What is there all the time comes at least once, about `count` fields in a call.
        """

    async def apply(self, writes: Sequence[Write]) -> None:
        """Write the fields and positions of some partitions.

        Raises:
            PositionError: a position is another; nothing was written for that partition.
            ServiceError: the store failed; what it wrote is unknown.
        """


async def all_fields(store: Store, key: str) -> dict[str, bytes]:
    """Return all fields of a HASH, a few at a time."""
    found: dict[str, bytes] = {}
    cursor = 0
    while True:
        cursor, some = await store.scan(key, cursor, LOADED_AT_ONCE)
        found |= {name.decode(): value for name, value in some.items()}
        if not cursor:
            return found


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a script."""

    move: Move
    keys: list[str]
    arguments: list[Any]


class RedisStore:
    """The store in Redis, through a Lua script."""

    def __init__(self, client: AsyncClient) -> None:
        self._client: Any = client
        source = files("streams") / "scripts" / "apply.lua"
        self._script = client.register_script(source.read_text())

    async def position(self, key: str) -> Position:
        """Return the position, without `next` when there is none yet."""
        return await self.numbers(key)

    async def numbers(self, key: str) -> dict[str, int]:
        """Return all fields of a HASH of numbers; see `Store`."""
        found = await _asked(self._client.hgetall(key))
        return {name.decode(): int(value) for name, value in found.items()}

    async def fields(self, wanted: Wanted) -> list[list[bytes | None]]:
        """Return the values of some fields of some HASHes; see `Store`."""
        commands = [("HMGET", key, *names) for key, names in wanted if names]
        found = iter(await _asked(together(self._client, commands)))
        return [next(found) if names else [] for _, names in wanted]

    async def scan(self, key: str, cursor: int, count: int) -> tuple[int, dict[bytes, bytes]]:
        """Return some fields of a HASH and where to go on; see `Store`."""
        after, found = await _asked(self._client.hscan(key, cursor, count=count))
        return int(after), found

    async def apply(self, writes: Sequence[Write]) -> None:
        """Write the fields and positions of some partitions; see `Store`."""
        if not writes:
            return
        calls = [_call(write) for write in writes]
        found = await self._evaluate(calls)
        unknown = [row for row, each in enumerate(found) if isinstance(each, NoScriptError)]
        if unknown:  # Redis was restarted, or one node of a cluster
            await _asked(self._client.script_load(self._script.script))
            again = await self._evaluate([calls[row] for row in unknown])
            for row, answer in zip(unknown, again, strict=True):
                found[row] = answer
        for call, position in zip(calls, found, strict=True):
            if isinstance(position, Exception):
                raise ServiceError("redis", f"{type(position).__name__}: {position}")
            if position != call.move.expected:
                raise PositionError(call.move.key, position, call.move.expected)

    async def _evaluate(self, calls: Sequence[_Call]) -> list[Any]:
        commands = [
            ("EVALSHA", self._script.sha, len(call.keys), *call.keys, *call.arguments)
            for call in calls
        ]
        return list(await _asked(together(self._client, commands, raise_errors=False)))


def connect(where: Where, timeout_s: float = 5.0) -> AsyncClient:
    """Return a client for a fold: no retries, because a worker that cannot write ends."""
    return connect_async(where, timeout_s=timeout_s)


def _call(write: Write) -> _Call:
    move = write.move
    told = {what: ids for what, ids in write.changed.items() if ids}
    position = [str(part) for pair in move.position.items() for part in pair]
    changed = [part for what, ids in told.items() for part in (what, _ENCODE(ids))]
    kept = (CHANGES_KEPT, 1000 * CHANGES_KEPT_S)
    arguments: list[Any] = [move.expected, *kept, _ENCODE(position), len(changed), *changed]
    for changes in write.hashes:
        arguments += [
            _ENCODE(changes.delete),
            _ENCODE(changes.names),
            _ENCODE(changes.values.lengths),
            changes.values.joined,
        ]
    keys = [move.key, move.changes_key, *(changes.key for changes in write.hashes)]
    return _Call(move, keys, arguments)


async def _asked(answer: Any) -> Any:
    try:
        return await answer
    except CLIENT_ERRORS as error:
        raise ServiceError("redis", f"{type(error).__name__}: {error}") from error
