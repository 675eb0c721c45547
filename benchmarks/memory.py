"""What the state takes in Redis: bytes per user and per item, and whether they grow.

The records are made by the folds themselves and written through the store of the worker, without
Kafka. A figure is the difference of Redis' `used_memory` divided by the number of users or items:
record, id, and their share of the tables around them. The changes streams are left out: they are
bounded, whatever the number of users.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import START_TS_MS, TYPE_SHARES
from freshet.core.events.codec import EVENT_HASH_BITS
from freshet.core.events.partition import item_hashes, partition_of_hash
from freshet.core.events.schema import EVENT_TYPES, VISIT
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from freshet.core.state.records import (
    COVISIT_CAPACITY,
    COVISIT_DTYPE,
    EMBEDDING_DIM,
    ITEM_DTYPE,
    USER_DTYPE,
    unpack_items,
)
from freshet.embedded.redis import RedisServer
from streams.deltas import ACTIVITY_DTYPE, ADDS_PERSON, ADDS_RATE, COVISIT_ROW_DTYPE
from streams.item_fold import fold_covisits, fold_items
from streams.item_vectors import VectorTable, vector_table
from streams.packed import Packed
from streams.store import NO_POSITION, Changes, Move, RedisStore, Write, connect
from streams.user_fold import fold_users
from streams.user_fold_rows import EVENT_DTYPE, rules
from streams.user_packing import pack_users

PARTITIONS = 8
CHUNK = 2_000  # users or items that are folded and written together
ITEMS = 100_000  # that users act on
MEAN_GAP_S = 90  # between two events of a user
INTERACTIONS_ONLY = {"click": 0.6, "view": 0.3, "dwell": 0.06, "like": 0.04}
SETTLED_S = 0.5


@dataclass(slots=True)
class Fill:
    """A Redis that is being filled, one partition after the other.

    Attributes:
        nexts: the position of each partition.
        value_bytes: of what was written so far, by the last word of the key.
    """

    store: RedisStore
    client: Any
    nexts: dict[str, int] = field(default_factory=dict)
    value_bytes: dict[str, int] = field(default_factory=dict)

    async def write(self, position_key: str, changes: Sequence[Changes], events: int) -> None:
        """Write some fields, as a batch of so many events would."""
        expected = self.nexts.get(position_key, NO_POSITION)
        self.nexts[position_key] = max(expected, 0) + events
        for each in changes:
            word = each.key.rpartition(":")[2]
            self.value_bytes[word] = self.value_bytes.get(word, 0) + len(each.values.joined)
        move = Move(position_key, "unused", expected, {"next": self.nexts[position_key]})
        await self.store.apply([Write(move, changes, {})])

    async def used_memory(self) -> int:
        """Return what Redis uses, bytes, once it has finished to rehash its tables."""
        before, now = -1, await self._used()
        while now != before:
            await asyncio.sleep(SETTLED_S)
            before, now = now, await self._used()
        return now

    async def _used(self) -> int:
        return int((await self.client.info("memory"))["used_memory"])


@click.command()
@click.option("--users", default=1_000_000, help="The largest number of users.")
@click.option("--items", default=100_000, help="Items that are acted on.")
@click.option("--events", default=50, help="Events of each user and of each item.")
def main(users: int, items: int, events: int) -> None:
    """Measure what a user and an item take in Redis."""
    click.echo(json.dumps(asyncio.run(_measure(users, items, events))))


async def _measure(users: int, items: int, events: int) -> dict[str, Any]:
    growth = {}
    for count in sorted({n for n in (10_000, 100_000) if n < users} | {users}):
        growth[str(count)] = {
            "mixed": await measure_users(count, events, TYPE_SHARES),
            "interactions": await measure_users(count, events, INTERACTIONS_ONLY),
        }
        click.echo(f"{count:,} users: {growth[str(count)]}")
    largest = growth[str(users)]
    return {
        "users": users,
        "events_per_user": events,
        "redis_bytes_per_user": largest["mixed"]["redis_bytes"],
        "redis_bytes_per_user_interactions": largest["interactions"]["redis_bytes"],
        "items": items,
        "events_per_item": events,
        **await measure_items(items, events),
        "growth": growth,
        "layout_bytes": {
            "user_in_memory": USER_DTYPE.itemsize,
            "item": ITEM_DTYPE.itemsize,
            "covisit_row": COVISIT_DTYPE.itemsize,
            "covisit_rows_at_most": COVISIT_CAPACITY,
        },
    }


async def measure_users(users: int, events: int, shares: dict[str, float]) -> dict[str, float]:
    """Return bytes of Redis and of the record per user.

    Args:
        users: how many.
        events: of each.
        shares: part of each type.
    """
    rng = np.random.default_rng(1)
    keys = Keys("bench")
    ids = [f"user-{number}" for number in range(users)]
    began = time.monotonic()
    async with _filling() as fill:
        before = await fill.used_memory()
        for partition, chunk in _chunks(ids):
            records = _fold_users(rng, len(chunk), events, shares)
            changes = Changes(keys.users(partition), chunk, pack_users(records))
            await fill.write(keys.user_position(partition), [changes], len(chunk) * events)
        used = await fill.used_memory() - before
    return {
        "redis_bytes": round(used / users, 1),
        "record_bytes": round(fill.value_bytes["users"] / users, 1),
        "id_bytes": round(sum(map(len, ids)) / users, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


async def measure_items(items: int, events: int) -> dict[str, float]:
    """Return bytes of Redis per item, of its record and of its transitions."""
    if not items:
        return {}
    rng = np.random.default_rng(2)
    keys = Keys("bench")
    ids = [f"item-{number}" for number in range(items)]
    used = {}
    for what, make in (("record", _item_records), ("transitions", _item_transitions)):
        async with _filling() as fill:
            before = await fill.used_memory()
            for partition, chunk in _chunks(ids):
                changes = make(rng, keys, partition, chunk, events)
                await fill.write(keys.item_position(partition), [changes], len(chunk) * events)
            used[what] = (await fill.used_memory() - before) / items
    return {
        "redis_bytes_per_item": round(sum(used.values()), 1),
        "redis_bytes_per_item_record": round(used["record"], 1),
        "redis_bytes_per_item_transitions": round(used["transitions"], 1),
    }


@asynccontextmanager
async def _filling() -> AsyncIterator[Fill]:
    with RedisServer() as server:
        client = connect(server.url)
        try:
            yield Fill(RedisStore(client), client)
        finally:
            await client.aclose()


def _chunks(ids: list[str]) -> list[tuple[int, list[str]]]:
    """Return the ids in pieces, each of one partition."""
    where = partition_of_hash(item_hashes(ids), PARTITIONS)  # the hash of users is the same
    chunks = []
    for partition in range(PARTITIONS):
        rows = np.flatnonzero(where == partition)
        for start in range(0, len(rows), CHUNK):
            chunks.append((partition, [ids[row] for row in rows[start : start + CHUNK].tolist()]))
    return chunks


def _fold_users(
    rng: np.random.Generator, users: int, events: int, shares: dict[str, float]
) -> NDArray[np.void]:
    """Return new records after so many events each."""
    n = users * events
    gaps_s = rng.exponential(MEAN_GAP_S, (users, events)).cumsum(axis=1)
    made = np.zeros(n, EVENT_DTYPE)
    made["user"] = np.repeat(np.arange(users), events)
    made["offset"] = np.arange(n)
    made["ts_ms"] = made["log_ts_ms"] = (START_TS_MS + gaps_s.ravel() * 1000).astype(np.int64)
    made["type"] = _types(rng, n, shares)
    made["item"] = _hashes_of_items()[rng.integers(0, ITEMS, n)]
    made["event"] = rng.integers(0, 1 << EVENT_HASH_BITS, n, dtype=np.uint64)
    records = np.zeros(users, USER_DTYPE)
    fold_users(records, made, np.zeros(1, np.int64), _vectors(), rules(Settings()))
    return records


def _types(rng: np.random.Generator, n: int, shares: dict[str, float]) -> NDArray[np.uint8]:
    codes = np.array([EVENT_TYPES.index(name) for name in shares], np.uint8)
    return rng.choice(codes, size=n, p=list(shares.values()))


@cache
def _vectors() -> VectorTable:
    """Return made-up unit vectors of the items."""
    hashes = np.unique(_hashes_of_items())
    vectors = np.random.default_rng(0).normal(size=(len(hashes), EMBEDDING_DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vector_table(1, hashes, vectors.astype(np.float32))


def _item_records(
    rng: np.random.Generator, keys: Keys, partition: int, ids: list[str], events: int
) -> Changes:
    """Return the records of items after so many events each."""
    n = len(ids) * events
    activity = np.zeros(n, ACTIVITY_DTYPE)
    activity["ts_ms"] = START_TS_MS + rng.integers(0, 14 * 86_400_000, n)
    activity["type"] = _types(rng, n, TYPE_SHARES)
    activity["segment"] = rng.integers(0, 4, n)
    activity["weight"], activity["adds"] = 1, ADDS_PERSON | ADDS_RATE
    items = unpack_items([None] * len(ids))
    fold_items(items, np.repeat(np.arange(len(ids)), events), activity)
    return Changes(keys.items(partition), ids, Packed(items.tobytes(), [items.itemsize] * len(ids)))


def _item_transitions(
    rng: np.random.Generator, keys: Keys, partition: int, ids: list[str], events: int
) -> Changes:
    """Return the transitions out of items after so many events each: two for a visit."""
    settings = Settings()
    visits = VISIT[_types(rng, len(ids) * events, TYPE_SHARES)].reshape(len(ids), events)
    owner = np.repeat(np.arange(len(ids)), visits.sum(axis=1) * settings.covisit_distance)
    rows = np.zeros(len(owner), COVISIT_ROW_DTYPE)
    rows["next"] = _hashes_of_items()[rng.integers(0, ITEMS, len(owner))]
    rows["ts_s"] = START_TS_MS // 1000 + rng.integers(0, 14 * 86_400, len(owner))
    rows["draw"] = rng.integers(0, 1 << 32, len(owner))
    rows["distance"] = rng.integers(1, settings.covisit_distance + 1, len(owner))
    samples = fold_covisits([b""] * len(ids), owner, rows, settings.covisit_half_life_s)
    names = [str(value) for value in item_hashes(ids).tolist()]
    return Changes(keys.covisits(partition), names, Packed.of(samples))


@cache
def _hashes_of_items() -> NDArray[np.uint32]:
    return item_hashes([f"item-{number}" for number in range(ITEMS)])


if __name__ == "__main__":
    main()
