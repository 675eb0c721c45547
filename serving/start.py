"""What a server must know before it can serve: how many partitions there are.

Kafka says so by its topics, and Redis by what the first worker wrote. Either will do, so a server
starts while the other is away; while both are, it listens and says what is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from freshet.core.advice import redis_advice
from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.settings import Settings
from freshet.core.state.client import CLIENT_ERRORS, AsyncClient
from freshet.core.state.eviction import require_no_eviction
from freshet.core.state.keys import Keys
from freshet.core.state.readable import readable_number, report_unreadable

KAFKA_WAIT_S: Final = 3.0
RETRY_S: Final = 0.5
MAX_PARTITIONS: Final = 256

log = logging.getLogger(__name__)


async def known_partitions(settings: Settings, redis: AsyncClient) -> tuple[int, bool]:
    """Return the number of partitions, and whether Kafka said it; waits until one of both does.

    Args:
        settings: of the installation.
        redis: a client.

    Raises:
        SettingError: the topics differ in their number of partitions.
    """
    return await first_known(
        lambda: asyncio.to_thread(discover_partitions, settings, timeout_s=KAFKA_WAIT_S),
        lambda: stored_partitions(redis, Keys(settings.namespace)),
    )


async def first_known(
    of_kafka: Callable[[], Awaitable[int]], of_redis: Callable[[], Awaitable[int]]
) -> tuple[int, bool]:
    """Return the number of partitions and whether Kafka said it; Kafka is asked first.

    Args:
        of_kafka: returns the number or raises `ServiceError`.
        of_redis: the same.
    """
    logged = ""
    while True:
        try:
            return await of_kafka(), True
        except ServiceError as error:
            kafka = error
        try:
            partitions = await of_redis()
        except ServiceError as error:
            missing = f"{kafka}; {error}"
        else:
            log.error("started without Kafka: %s", kafka)
            return partitions, False
        if not logged:
            log.error("waiting for Kafka or Redis: %s", missing)
            logged = missing
        await asyncio.sleep(RETRY_S)


async def stored_partitions(redis: AsyncClient, keys: Keys) -> int:
    """Return the number of partitions that the state is laid out for.

    Raises:
        ServiceError: Redis does not say.
    """
    client: Any = redis
    try:
        stored = await client.hget(keys.meta, "partitions")
    except CLIENT_ERRORS as error:
        raise ServiceError("redis", f"does not answer ({error}): {redis_advice(error)}") from error
    try:
        partitions = readable_number(stored) or 0
        if stored is not None and not 1 <= partitions <= MAX_PARTITIONS:
            raise ValueError(f"{partitions}, expected 1 to {MAX_PARTITIONS}")
    except ValueError as error:
        report_unreadable("meta", keys.meta, "partitions", str(error))
        raise ServiceError("redis", f"the number of partitions is {error}") from error
    if not partitions:
        raise ServiceError("redis", "holds no state yet")
    return partitions


async def require_lasting_state(redis: AsyncClient) -> None:
    """Wait until Redis answers, and refuse one that drops keys by itself.

    Raises:
        SettingError: it does.
    """
    while True:
        try:
            await require_no_eviction(redis)
        except CLIENT_ERRORS:
            await asyncio.sleep(RETRY_S)
        else:
            return


async def agree_with_kafka(settings: Settings, partitions: int) -> None:
    """Wait until Kafka answers, and compare its topics with what the server runs with.

    Raises:
        ServiceError: they have another number; the server must start again.
        SettingError: the topics differ in their number of partitions.
    """
    while True:
        try:
            found = await asyncio.to_thread(discover_partitions, settings, timeout_s=KAFKA_WAIT_S)
        except ServiceError:
            await asyncio.sleep(RETRY_S)
            continue
        if found != partitions:
            raise ServiceError(
                "kafka",
                f"the topics have {found} partitions, the state in Redis has {partitions}; "
                "is FRESHET_NAMESPACE right?",
            )
        return
