"""What the state says of an erasure: how far the fold has come, and until when a person is erased.

Law: the fold writes an erasure, the user's deletion and its position in one script; so a position
behind the erasure and the person's hash among the erased say together that it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from freshet.core.errors import ServiceError
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, together
from freshet.core.state.keys import Keys
from freshet.core.state.readable import readable_number, report_unreadable
from serving.responsive_wait import OwnLagError, within
from serving.user_state import READ_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class ErasureState:
    """What the state says of an erasure.

    Attributes:
        position: next offset that the fold of the partition will apply.
        erased_ts_ms: events of the person up to then stay forgotten; None for who was not erased.
    """

    position: int
    erased_ts_ms: int | None


class Erasures(Protocol):
    """Where erasures are looked up."""

    async def get(self, partition: int, user_hash: str) -> ErasureState:
        """Return what the state says of a person of a partition.

        Raises:
            ServiceError: it cannot be read now.
        """
        ...


class RedisErasures:
    """Looks erasures up in Redis.

    Args:
        redis: a client whose own timeouts are longer than `timeout_s`.
        keys: names of the keys.
        timeout_s: how long Redis may take for a reply.
    """

    def __init__(self, redis: AsyncClient, keys: Keys, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._redis = redis
        self._keys = keys
        self._timeout_s = timeout_s

    async def get(self, partition: int, user_hash: str) -> ErasureState:
        """Return what the state says of a person of a partition; see `Erasures`."""
        # The position first: it may only be older than the other answer.
        commands = [
            ("HGET", self._keys.user_position(partition), "next"),
            ("HGET", self._keys.erased(partition), user_hash),
        ]
        try:
            position, erased = await within(together(self._redis, commands), self._timeout_s)
        except (*CLIENT_ERRORS, OwnLagError) as error:
            raise ServiceError("redis", f"erasures cannot be read ({error})") from error
        try:
            return ErasureState(readable_number(position) or 0, readable_number(erased))
        except ValueError as error:
            key = self._keys.user_position(partition)
            report_unreadable("position", key, user_hash, str(error))
            raise ServiceError(
                "redis", f"what it says of the erasure is damaged ({error})"
            ) from error
