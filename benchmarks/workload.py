"""Synthetic events for the benchmarks: skewed users and items, encoded ahead of the clock."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freshet.core.events.codec import encode
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import EVENT_TYPES, Event

START_TS_MS = 1_700_000_000_000
EVENT_EVERY_MS = 10
TYPE_SHARES = {"impression": 0.5, "click": 0.25, "view": 0.15, "dwell": 0.06, "like": 0.04}


def encoded_events(
    n: int,
    *,
    users: int,
    items: int,
    seed: int,
    shares: dict[str, float] | None = None,
    start_ts_ms: int = START_TS_MS,
    every_ms: float = EVENT_EVERY_MS,
    user_ids: Sequence[str] | None = None,
) -> tuple[list[bytes], list[bytes]]:
    """Return keys and values of `n` events, in the order of their times.

    Args:
        n: number of events.
        users: number of users, uniformly active.
        items: number of items, popular by Zipf's law with exponent 1.
        seed: of the generator; also the first part of every event id, the row is the second.
        shares: part of each type; `TYPE_SHARES` when None.
        start_ts_ms: time of the first event.
        every_ms: from one event to the next.
        user_ids: the users; `user-0`, `user-1` and so on when None.
    """
    rng = np.random.default_rng(seed)
    shares = shares or TYPE_SHARES
    weights = 1 / np.arange(1, items + 1)
    item = rng.choice(items, size=n, p=weights / weights.sum())
    user_ids = user_ids or [f"user-{number}" for number in range(users)]
    user = rng.integers(0, len(user_ids), n)
    kind = rng.choice([EVENT_TYPES.index(name) for name in shares], size=n, p=list(shares.values()))
    keys, values = [], []
    for row, (u, i, k) in enumerate(zip(user.tolist(), item.tolist(), kind.tolist(), strict=True)):
        user_id = user_ids[u]
        event = Event(
            event_id=f"{seed:x}-{row:x}",
            type=EVENT_TYPES[k],
            user_id=user_id,
            item_id=f"item-{i}",
            ts_ms=start_ts_ms + int(row * every_ms),
            session_id=f"session-{u}",
        )
        keys.append(user_id.encode())
        values.append(encode(event))
    return keys, values


def users_of(partition: int, partitions: int, users: int) -> list[str]:
    """Return those of the users whose events lie in one partition."""
    names = [f"user-{number}" for number in range(users)]
    where = partition_of_hash(murmur2_many([name.encode() for name in names]), partitions)
    return [names[row] for row in np.flatnonzero(where == partition).tolist()]


def produce_all(
    bootstrap: str, topic: str, partitions: int, keys: list[bytes], values: list[bytes]
) -> None:
    """Put everything into the topic and wait for the acknowledgement."""
    producer = EventProducer(bootstrap, linger_ms=20)
    where = partition_of_hash(murmur2_many(keys), partitions)
    for key, value, partition in zip(keys, values, where.tolist(), strict=True):
        producer.send(topic, partition, value, key=key)
    producer.flush(120)
    producer.close()
