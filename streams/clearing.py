"""Clearing: what Kafka has is taken out of the outboxes of partitions where nothing happens.

Where something does, the next batch takes it out by the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from freshet.core.errors import PositionError
from streams.user_shell import UserShell

LOOK_EVERY_S = 0.05
IDLE_LOOKS = 20  # so many times less often where no outbox holds anything


async def keep_clear(
    users: UserShell, assigned: Callable[[], Collection[int]], *, every_s: float = LOOK_EVERY_S
) -> None:
    """Clear outboxes, again and again, of what stood there at the look before too.

    Args:
        users: the shell of the users.
        assigned: returns the partitions of the users that this worker has.
        every_s: between two looks, while something waits.

    Raises:
        ServiceError: Redis failed.
    """
    before: dict[int, Sequence[str]] = {}
    while True:
        await asyncio.sleep(every_s if any(before.values()) else every_s * IDLE_LOOKS)
        for partition in list(assigned()):
            told = users.told(partition)
            if told and told == before.get(partition):
                try:
                    await users.clear_outbox(partition)
                except PositionError:  # gone to another worker, or the next round ends this one
                    told = ()
            before[partition] = told
