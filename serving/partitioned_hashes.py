"""Reading HASHes that have one key for each partition.

Law: a field whose name is no text, and a key of another type, are reported and left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from freshet.core.state.client import AsyncClient, together
from freshet.core.state.readable import is_wrong_type, report_unreadable

CHUNK: Final = 1_000  # records in one read


class WrongTypeError(Exception):
    """A key that should hold a HASH holds something else.

    Attributes:
        key: its name.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


async def fetch(
    redis: AsyncClient,
    key_of: Callable[[int], str],
    names: Sequence[str],
    partitions: Sequence[int],
) -> list[tuple[str, list[str], list[bytes | None]]]:
    """Return (key, names, values) of fields, partition by partition, in one round trip.

    Args:
        redis: a client.
        key_of: the HASH of a partition.
        names: (n,) the fields.
        partitions: (n,) of the fields.
    """
    by_partition: dict[int, list[str]] = {}
    for name, partition in zip(names, partitions, strict=True):
        by_partition.setdefault(partition, []).append(name)
    keys = [key_of(partition) for partition in by_partition]
    commands = [
        ("HMGET", key, *some) for key, some in zip(keys, by_partition.values(), strict=True)
    ]
    found = await together(redis, commands, raise_errors=False)
    answers = []
    for key, some, values in zip(keys, by_partition.values(), found, strict=True):
        if not isinstance(values, ResponseError):
            answers.append((key, some, values))
        elif is_wrong_type(values):
            report_unreadable(last_word(key), key, why=str(values))
        else:
            raise values
    return answers


async def chunks(redis: AsyncClient, key: str) -> AsyncIterator[dict[str, bytes]]:
    """Yield dicts of fields of a HASH until all were seen; one may be seen twice.

    Raises:
        WrongTypeError: the key holds another type; it was reported.
    """
    cursor = 0
    client: Any = redis
    while True:
        try:
            cursor, fields = await client.hscan(key, cursor, count=CHUNK)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            report_unreadable(last_word(key), key, why=str(error))
            raise WrongTypeError(key) from error
        if named := _named(key, fields):
            yield named
        if cursor == 0:
            return


def last_word(key: str) -> str:
    """Return what a key holds, as metrics name it.

    >>> last_word("freshet:{u3}:users")
    'users'
    """
    return key.rpartition(":")[2]


def _named(key: str, fields: dict[bytes, bytes]) -> dict[str, bytes]:
    try:
        return {name.decode(): value for name, value in fields.items()}
    except UnicodeDecodeError:
        named = {}
        for name, value in fields.items():
            try:
                named[name.decode()] = value
            except UnicodeDecodeError:
                report_unreadable(last_word(key), key, repr(name[:40]), "the field is no UTF-8")
        return named
