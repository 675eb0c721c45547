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
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from freshet.core.errors import PositionError, ServiceError
from freshet.core.state.keys import CHANGES_KEPT

NO_POSITION = -1
_ENCODE = msgspec.msgpack.Encoder().encode


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
    values: Sequence[bytes] = ()
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

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return the values of some fields of a HASH."""

    async def apply(self, writes: Sequence[Write]) -> None:
        """Write the fields and positions of some partitions.

        Raises:
            PositionError: a position is another; nothing was written for that partition.
            ServiceError: the store failed; what it wrote is unknown.
        """


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a script."""

    move: Move
    keys: list[str]
    arguments: list[Any]


class RedisStore:
    """The store in Redis, through a Lua script."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        source = files("streams") / "scripts" / "apply.lua"
        self._script = client.register_script(source.read_text())

    async def position(self, key: str) -> Position:
        """Return the position, without `next` when there is none yet."""
        found = await _asked(self._client.hgetall(key))
        return {name.decode(): int(value) for name, value in found.items()}

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return the values of some fields of a HASH."""
        return list(await _asked(self._client.hmget(key, list(names)))) if names else []

    async def apply(self, writes: Sequence[Write]) -> None:
        """Write the fields and positions of some partitions; see `Store`."""
        if not writes:
            return
        calls = [_call(write) for write in writes]
        found = await self._evaluate(calls)
        if all(isinstance(each, NoScriptError) for each in found):  # Redis was restarted
            await _asked(self._client.script_load(self._script.script))
            found = await self._evaluate(calls)
        for call, position in zip(calls, found, strict=True):
            if isinstance(position, Exception):
                raise ServiceError("redis", f"{type(position).__name__}: {position}")
            if position != call.move.expected:
                raise PositionError(call.move.key, position, call.move.expected)

    async def _evaluate(self, calls: Sequence[_Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(self._script.sha, len(call.keys), *call.keys, *call.arguments)
        return list(await _asked(pipeline.execute(raise_on_error=False)))


def connect(url: str, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for a fold: no retries, because a worker that cannot write ends."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def _call(write: Write) -> _Call:
    move = write.move
    told = {what: ids for what, ids in write.changed.items() if ids}
    position = [str(part) for pair in move.position.items() for part in pair]
    changed = [part for what, ids in told.items() for part in (what, _ENCODE(ids))]
    arguments: list[Any] = [move.expected, CHANGES_KEPT, _ENCODE(position), len(changed), *changed]
    for changes in write.hashes:
        arguments += [
            _ENCODE(changes.delete),
            _ENCODE(changes.names),
            _ENCODE(list(map(len, changes.values))),
            b"".join(changes.values),
        ]
    keys = [move.key, move.changes_key, *(changes.key for changes in write.hashes)]
    return _Call(move, keys, arguments)


async def _asked(answer: Any) -> Any:
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise ServiceError("redis", f"{type(error).__name__}: {error}") from error
