"""The state of one user, in one journey to Redis, with a memory for when Redis does not answer.

Law: a request never waits for Redis longer than the read timeout, and after a failure the next
requests do not wait at all until `RETRY_AFTER_S` has passed: a dead Redis must not make a queue.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ServiceError
from freshet.core.events.codec import event_hash
from freshet.core.events.partition import partition_of
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, together
from freshet.core.state.keys import Keys
from freshet.core.state.past import page_fields, past_newest_first
from freshet.core.state.records import (
    Records,
    applied_events,
    interactions,
    segment_of,
    unpack_users,
)
from freshet.core.state.unwanted import UNWANTED_DTYPE, unpack_unwanted

REMEMBERED_USERS: Final = 10_000
RETRY_AFTER_S: Final = 0.25

Blobs = Sequence[bytes | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UserState:
    """What is known of a user.

    Attributes:
        record: one record of `USER_DTYPE`; all zero for a user never seen.
        past: (n,) uint32, items of the interactions before the history, newest first.
        unwanted: (n,) of `UNWANTED_DTYPE`, items that the user rejected, newest first; expired
            rows may be among them.
    """

    record: np.void
    past: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    unwanted: Records = field(default_factory=lambda: np.empty(0, UNWANTED_DTYPE))

    @property
    def known(self) -> bool:
        """Whether any event of the user was applied."""
        return bool(applied_events(self.record))

    @property
    def segment(self) -> int:
        """The bandit segment, in [0, SEGMENTS)."""
        return int(segment_of(interactions(self.record)))

    def holds(self, event_id: str) -> bool:
        """Return whether the event is among the last `RECENT_EVENT_IDS` that were applied."""
        return event_hash(event_id) in self.record["recent_events"].tolist()


def cold_user() -> UserState:
    """Return the state of a user never seen."""
    return user_state([None])


def user_state(blobs: Blobs) -> UserState:
    """Return the state of a user from what Redis holds.

    Args:
        blobs: the record, what the user rejected, then the pages of the past; as many as there are.
    """
    record = unpack_users(blobs[:1])[0]
    unwanted = unpack_unwanted(blobs[1] if len(blobs) > 1 else None)
    return UserState(record, past_newest_first(record, blobs[2:]), unwanted)


class UserStates(Protocol):
    """Where the state of users is read."""

    async def get(self, user_id: str) -> UserState:
        """Return the state of a user.

        Raises:
            ServiceError: it cannot be read now.
        """
        ...

    def remembered(self, user_id: str) -> UserState | None:
        """Return the state as it was last read by this process, None when it was not."""
        ...


class RedisUserStates:
    """Reads users from Redis and remembers the last ones read.

    Args:
        redis: a client with a short socket timeout and without retries.
        keys: names of the keys.
        partitions: partitions of the users.
    """

    def __init__(self, redis: AsyncClient, keys: Keys, partitions: int) -> None:
        self._redis = redis
        self._keys = keys
        self._partitions = partitions
        self._memory: OrderedDict[str, Blobs] = OrderedDict()
        self._forgotten = 0  # how often someone was forgotten
        self._retry_at = 0.0

    async def get(self, user_id: str) -> UserState:
        """Return the state of a user; see `UserStates`."""
        now = time.monotonic()
        if now < self._retry_at:
            raise ServiceError("redis", "did not answer a moment ago")
        forgotten = self._forgotten
        keys, partition = self._keys, partition_of(user_id, self._partitions)
        commands = [
            ("HGET", keys.users(partition), user_id),
            ("HGET", keys.unwanted(partition), user_id),
            ("HMGET", keys.past(partition), *page_fields(user_id)),
        ]
        try:
            record, unwanted, pages = await together(self._redis, commands)
        except CLIENT_ERRORS as error:
            self._retry_at = now + RETRY_AFTER_S
            log.warning("user state cannot be read: %s", error)
            raise ServiceError("redis", f"user state cannot be read ({error})") from error
        blobs = [record, unwanted, *pages] if any(pages) else [record, unwanted]
        if forgotten == self._forgotten:  # else the answer may be older than an erasure
            self._remember(user_id, blobs)
        return user_state(blobs)

    def remembered(self, user_id: str) -> UserState | None:
        """Return the state as it was last read; see `UserStates`."""
        if user_id not in self._memory:
            return None
        return user_state(self._memory[user_id])

    def forget(self, user_ids: Iterable[str]) -> None:
        """Forget people who were erased."""
        self._forgotten += 1
        for user_id in user_ids:
            self._memory.pop(user_id, None)

    def forget_all(self) -> None:
        """Forget everyone: someone may have been erased."""
        self._forgotten += 1
        self._memory.clear()

    def _remember(self, user_id: str, blobs: Blobs) -> None:
        self._memory[user_id] = blobs
        self._memory.move_to_end(user_id)
        if len(self._memory) > REMEMBERED_USERS:
            self._memory.popitem(last=False)
