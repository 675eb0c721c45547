"""Whether Redis may drop keys by itself: then what was counted is counted again, or lost.

Law: no process that counts or serves starts on such a server.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import redis
import redis.asyncio

from freshet.core.errors import SettingError
from freshet.core.state.client import AsyncClient

KEEPS_EVERYTHING: Final = "noeviction"
EVICTION_REMEDY: Final = (
    f"`redis-cli CONFIG SET maxmemory-policy {KEEPS_EVERYTHING}`, and the same in redis.conf or, "
    "where Redis is managed, in its parameters"
)

log = logging.getLogger(__name__)


async def require_no_eviction(client: AsyncClient) -> None:
    """Refuse servers that drop keys when their memory is full.

    Args:
        client: of one server or of a cluster, whose primaries are all asked.

    Raises:
        SettingError: a server has another policy.
        redis.RedisError: Redis does not answer.
    """
    for policy in await eviction_policies(client):
        if policy is None:
            log.warning(
                "Redis does not say its maxmemory-policy, expected %s: neither INFO nor CONFIG GET "
                "is allowed", KEEPS_EVERYTHING,
            )  # fmt: skip
        elif policy != KEEPS_EVERYTHING:
            raise SettingError(
                "maxmemory-policy of Redis",
                policy,
                f"{KEEPS_EVERYTHING}: another one drops state that was counted, and it would be "
                f"counted again or be lost; {EVICTION_REMEDY}",
            )


async def eviction_policies(client: AsyncClient) -> list[str | None]:
    """Return the policy of each server, None where it may not be asked.

    INFO is asked first: managed servers and many access lists forbid CONFIG.
    """
    any_client: Any = client
    if isinstance(client, redis.asyncio.Redis):
        return [await _policy(any_client.info, any_client.config_get)]
    return [
        await _policy(
            partial(any_client.info, target_nodes=node),
            partial(any_client.config_get, target_nodes=node),
        )
        for node in any_client.get_primaries()
    ]


async def _policy(
    info: Callable[[str], Awaitable[Any]], config_get: Callable[[str], Awaitable[Any]]
) -> str | None:
    for ask, name in ((info, "memory"), (config_get, "maxmemory-policy")):
        try:
            found = await ask(name)
        except redis.exceptions.ResponseError:  # not allowed, or not known
            continue
        found = found.get("maxmemory_policy") or found.get("maxmemory-policy") or b""
        policy = found.decode() if isinstance(found, bytes) else str(found)
        if policy:
            return policy
    return None
