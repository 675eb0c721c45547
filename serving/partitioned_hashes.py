"""Reading HASHes that have one key for each partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, cast

from freshet.core.state.client import AsyncClient, together

CHUNK: Final = 1_000  # records in one read


async def fetch(
    redis: AsyncClient,
    key_of: Callable[[int], str],
    names: Sequence[str],
    partitions: Sequence[int],
) -> list[tuple[list[str], list[bytes | None]]]:
    """Return (names, values) of fields, partition by partition, in one round trip.

    Args:
        redis: a client.
        key_of: the HASH of a partition.
        names: (n,) the fields.
        partitions: (n,) of the fields.
    """
    by_partition: dict[int, list[str]] = {}
    for name, partition in zip(names, partitions, strict=True):
        by_partition.setdefault(partition, []).append(name)
    commands = [("HMGET", key_of(partition), *some) for partition, some in by_partition.items()]
    answers = await together(redis, commands)
    return list(zip(by_partition.values(), answers, strict=True))


async def chunks(redis: AsyncClient, key: str) -> AsyncIterator[dict[bytes, bytes]]:
    """Yield dicts of fields of a HASH until all were seen; one may be seen twice."""
    cursor = 0
    client: Any = redis
    while True:
        cursor, fields = await client.hscan(key, cursor, count=CHUNK)
        if fields:
            yield cast(dict[bytes, bytes], fields)
        if cursor == 0:
            return
