"""The state of one user, in one round trip to Redis, with a memory for when Redis does not answer.

Law: a request never waits for Redis longer than the read timeout, and after a failure the next
requests do not wait at all until `RETRY_AFTER_S` has passed: a dead Redis must not make a queue.
This circuit breaker opens for what Redis did or did not do, never because this process was busy.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from freshet.core.errors import ServiceError
from freshet.core.events.codec import event_hash
from freshet.core.events.control import user_hash
from freshet.core.events.partition import partition_of
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient, Command, together
from freshet.core.state.keys import Keys
from freshet.core.state.past import PAST_PAGES, page_fields, past_newest_first
from freshet.core.state.readable import (
    is_wrong_type,
    readable_pages,
    readable_unwanted,
    readable_users,
    report_unreadable,
)
from freshet.core.state.records import (
    Records,
    applied_events,
    interactions,
    segment_of,
)
from freshet.core.state.unwanted import UNWANTED_DTYPE, unpack_unwanted
from serving.read_batches import ReadBatches
from serving.responsive_wait import OwnLagError, within

REMEMBERED_USERS: Final = 10_000
RETRY_AFTER_S: Final = 0.25
READ_TIMEOUT_S: Final = 1.0  # of a process that sets none

Blobs = Sequence[bytes | None]

_KINDS: Final = ("users", "unwanted", "past")
_DAMAGED: Final = b"\0"  # neither a record, nor rejections, nor a page

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UserState:
    """What is known of a user.

    Attributes:
        record: one record of `USER_DTYPE`; all zero for a user never seen.
        past: (n,) uint32, items of the interactions before the history, newest first.
        unwanted: (n,) of `UNWANTED_DTYPE`, items that the user rejected, newest first; expired
            rows may be among them.
        damaged: what could not be read, by the last words of the keys; it counts as not there.
    """

    record: np.void
    past: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    unwanted: Records = field(default_factory=lambda: np.empty(0, UNWANTED_DTYPE))
    damaged: tuple[str, ...] = ()

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
    users, faults = readable_users(blobs[:1])
    packed, unwanted_damaged = readable_unwanted(blobs[1] if len(blobs) > 1 else None)
    pages, torn = readable_pages(blobs[2:])
    return UserState(
        users[0],
        past_newest_first(users[0], pages),
        unpack_unwanted(packed),
        damaged=tuple(compress(_KINDS, (faults, unwanted_damaged, torn))),
    )


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
        redis: a client without retries, whose own timeouts are longer than `timeout_s`.
        keys: names of the keys.
        partitions: partitions of the users.
        timeout_s: how long Redis may take for a reply.
    """

    def __init__(
        self, redis: AsyncClient, keys: Keys, partitions: int, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._partitions = partitions
        self._timeout_s = timeout_s
        self._batches: ReadBatches[Blobs] = ReadBatches(self._read)
        self._memory: OrderedDict[str, Blobs] = OrderedDict()
        self._forgotten = 0  # how often someone was forgotten
        self._retry_at = 0.0

    async def get(self, user_id: str) -> UserState:
        """Return the state of a user; see `UserStates`."""
        self._require_closed_breaker()
        user = user_state(await self._batches.get(user_id))
        for kind in user.damaged:
            users = self._keys.users(partition_of(user_id, self._partitions))
            report_unreadable(kind, f"{users.rpartition(':')[0]}:{kind}", user_hash(user_id))
        return user

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

    def _require_closed_breaker(self) -> None:
        if time.monotonic() < self._retry_at:
            raise ServiceError("redis", "did not answer a moment ago")

    async def _read(self, user_ids: Sequence[str]) -> list[Blobs]:
        """Return what Redis holds of distinct users, and remember it."""
        self._require_closed_breaker()  # it may have opened while these waited for their turn
        forgotten = self._forgotten
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for user_id in user_ids:
            by_partition[partition_of(user_id, self._partitions)].append(user_id)
        commands = [each for some in by_partition.items() for each in self._commands(*some)]
        try:
            sent = together(self._redis, commands, raise_errors=False)
            replies = _without_wrong_types(commands, await within(sent, self._timeout_s))
        except OwnLagError as error:
            raise ServiceError("redis", f"user state was not read: {error}") from error
        except CLIENT_ERRORS as error:
            self._retry_at = time.monotonic() + RETRY_AFTER_S
            log.warning("user state cannot be read: %s", error)
            raise ServiceError("redis", f"user state cannot be read ({error})") from error
        found: dict[str, Blobs] = {}
        for number, ids in enumerate(by_partition.values()):
            found.update(zip(ids, _blobs(*replies[3 * number : 3 * number + 3]), strict=True))
        if forgotten == self._forgotten:  # else a reply may be older than an erasure
            for user_id, blobs in found.items():
                self._remember(user_id, blobs)
        return [found[user_id] for user_id in user_ids]

    def _commands(self, partition: int, user_ids: Sequence[str]) -> list[Command]:
        pages = [name for user_id in user_ids for name in page_fields(user_id)]
        keys = self._keys
        return [
            ("HMGET", keys.users(partition), *user_ids),
            ("HMGET", keys.unwanted(partition), *user_ids),
            ("HMGET", keys.past(partition), *pages),
        ]

    def _remember(self, user_id: str, blobs: Blobs) -> None:
        self._memory[user_id] = blobs
        self._memory.move_to_end(user_id)
        if len(self._memory) > REMEMBERED_USERS:
            self._memory.popitem(last=False)


def _blobs(
    records: Sequence[bytes | None],
    unwanted: Sequence[bytes | None],
    pages: Sequence[bytes | None],
) -> Iterator[Blobs]:
    """Yield the blobs of each user, given the replies about users of one partition."""
    for number, pair in enumerate(zip(records, unwanted, strict=True)):
        own = pages[number * PAST_PAGES : (number + 1) * PAST_PAGES]
        yield [*pair, *own] if any(own) else pair


def _without_wrong_types(
    commands: Sequence[Command], replies: Sequence[Any]
) -> list[Sequence[bytes | None]]:
    """Return the replies about fields, of damaged fields for a key of another type.

    Raises:
        ResponseError: a command failed for another reason.
    """
    found = list(replies)
    for place, (reply, (_, _, *names)) in enumerate(zip(replies, commands, strict=True)):
        if isinstance(reply, ResponseError):
            if not is_wrong_type(reply):
                raise reply
            found[place] = [_DAMAGED] * len(names)
    return found
