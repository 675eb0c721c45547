"""Lifetimes: users who have been idle for long are deleted, a few at a time.

Redis could expire keys by itself, but a key for each user costs more memory than is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from freshet.core.errors import PositionError
from streams.user_shell import UserShell

STEP_EVERY_S = 5.0


async def keep_lifetimes(
    users: UserShell, assigned: Callable[[], Collection[int]], *, every_s: float = STEP_EVERY_S
) -> None:
    """Look at some users of each partition, again and again.

    Args:
        users: the shell of the users.
        assigned: returns the partitions of the users that this worker has.
        every_s: between two looks.

    Raises:
        ServiceError: Redis failed.
    """
    cursors: dict[int, int] = {}
    while True:
        await asyncio.sleep(every_s)
        for partition in list(assigned()):
            try:
                cursors[partition] = await users.forget_idle(partition, cursors.get(partition, 0))
            except PositionError:  # it has gone to another worker, or the next round ends this one
                cursors.pop(partition, None)
