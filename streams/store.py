"""The state store of the folds: read records, write them together with the position.

Law 1 lives here: state and position change in one atomic script or not at all, and a script whose
caller is not where Redis is writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Protocol

import msgspec
import redis.asyncio as redis
from redis.exceptions import RedisError

from freshet.core.errors import PositionError, ServiceError
from freshet.core.state.keys import CHANGES_KEPT

NO_POSITION = -1

Position = dict[str, int]
"""Fields of a position HASH; `next` is the next offset to apply."""


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """Changes to one HASH."""

    key: str
    put: Mapping[str, bytes] = field(default_factory=dict)
    delete: Sequence[str] = ()


class Store(Protocol):
    """Where the folds keep their state."""

    async def position(self, key: str) -> Position:
        """Return the position, without `next` when there is none yet."""

    async def strings(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of STRINGs."""

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return the values of some fields of a HASH."""

    async def apply_users(
        self,
        position_key: str,
        changes_key: str,
        expected: int,
        position: Position,
        users: Mapping[str, bytes],
        user_ids: Sequence[str],
        ttl_s: int,
    ) -> None:
        """Write user records and position.

        Args:
            position_key: HASH of the position.
            changes_key: STREAM that tells followers.
            expected: the `next` that the caller left there, `NO_POSITION` for none.
            position: the new fields of the position, `next` among them.
            users: packed record of each changed user's key.
            user_ids: the users' ids, for the followers.
            ttl_s: lifetime of a record.

        Raises:
            PositionError: the position is another; nothing was written.
            ServiceError: the store failed; whether it wrote is unknown.
        """

    async def apply_fields(
        self,
        position_key: str,
        changes_key: str,
        expected: int,
        position: Position,
        hashes: Sequence[FieldChanges],
        changed: Mapping[str, Sequence[Any]],
    ) -> None:
        """Write fields of HASHes and position; as `apply_users`, `changed` tells followers."""


class RedisStore:
    """The store in Redis, through two Lua scripts."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        scripts = files("streams") / "scripts"
        self._apply_users = client.register_script((scripts / "apply_users.lua").read_text())
        self._apply_fields = client.register_script((scripts / "apply_fields.lua").read_text())

    async def position(self, key: str) -> Position:
        """Return the position, without `next` when there is none yet."""
        found = await _asked(self._client.hgetall(key))
        return {name.decode(): int(value) for name, value in found.items()}

    async def strings(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of STRINGs."""
        return list(await _asked(self._client.mget(keys))) if keys else []

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return the values of some fields of a HASH."""
        return list(await _asked(self._client.hmget(key, list(names)))) if names else []

    async def apply_users(
        self,
        position_key: str,
        changes_key: str,
        expected: int,
        position: Position,
        users: Mapping[str, bytes],
        user_ids: Sequence[str],
        ttl_s: int,
    ) -> None:
        """Write user records and position; see `Store`."""
        arguments = [
            expected,
            ttl_s,
            CHANGES_KEPT,
            msgspec.msgpack.encode(user_ids),
            len(position),
            *_flat(position),
            *users.values(),
        ]
        keys = [position_key, changes_key, *users]
        found = await _asked(self._apply_users(keys=keys, args=arguments))
        _check(position_key, found, expected)

    async def apply_fields(
        self,
        position_key: str,
        changes_key: str,
        expected: int,
        position: Position,
        hashes: Sequence[FieldChanges],
        changed: Mapping[str, Sequence[Any]],
    ) -> None:
        """Write fields of HASHes and position; see `Store`."""
        told = {what: msgspec.msgpack.encode(ids) for what, ids in changed.items() if ids}
        arguments: list[Any] = [expected, CHANGES_KEPT, len(position), *_flat(position)]
        arguments += [len(told), *_flat(told)]
        for changes in hashes:
            arguments += [len(changes.delete), *changes.delete]
            arguments += [len(changes.put), *_flat(changes.put)]
        keys = [position_key, changes_key, *(changes.key for changes in hashes)]
        found = await _asked(self._apply_fields(keys=keys, args=arguments))
        _check(position_key, found, expected)


def connect(url: str, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for a fold: no retries, because a worker that cannot write ends."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


async def _asked(answer: Any) -> Any:
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise ServiceError("redis", f"{type(error).__name__}: {error}") from error


def _check(partition: str, found: int, expected: int) -> None:
    if found != expected:
        raise PositionError(partition, found, expected)


def _flat(pairs: Mapping[str, Any]) -> list[Any]:
    return [part for pair in pairs.items() for part in pair]
