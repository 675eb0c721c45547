"""The folds alone, without Kafka and Redis: what an event and a round cost the processor.

Full rounds tell the cost of an event, small ones what a round costs whatever it holds: the one
bounds the throughput of a worker, the other how fresh its state is at a moderate rate. What counts
comes behind some full rounds, so that nearly all users and items have been met before.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.backlog import ITEMS, USERS
from benchmarks.workload import EVENT_EVERY_MS, START_TS_MS, encoded_events
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import Record
from freshet.core.settings import Settings
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from streams.fold_shell import FoldContext
from streams.item_shell import ItemShell
from streams.item_vectors import LiveVectors
from streams.record_batch import RecordBatch
from streams.store import Position, Store, Wanted, Write
from streams.user_shell import UserShell

PARTITIONS = 8


class _NoStore:
    """Takes what is written, and holds nothing."""

    async def position(self, _key: str) -> Position:
        return {}

    async def numbers(self, _key: str) -> dict[str, int]:
        return {}

    async def fields(self, wanted: Wanted) -> list[list[bytes | None]]:
        return [[None] * len(names) for _, names in wanted]

    async def scan(self, _key: str, _cursor: int, _count: int) -> tuple[int, dict[bytes, bytes]]:
        return 0, {}

    async def apply(self, _writes: Sequence[Write]) -> None:
        pass


class _Produced:
    """Keeps what was produced last."""

    def __init__(self) -> None:
        self.records: Sequence[Record] = ()

    async def deliver(self, records: Sequence[Record], _timeout_s: float = 0) -> list[str | None]:
        self.records = records
        return [None] * len(records)


class _Log:
    """Hands out consecutive batches of each partition of a topic."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._ends: defaultdict[int, int] = defaultdict(int)

    def batches(self, records: Iterator[tuple[int, bytes]], ts_ms: int) -> list[RecordBatch]:
        """Return the records of a round, (partition, value) each, as batches."""
        values: defaultdict[int, list[bytes | None]] = defaultdict(list)
        for partition, value in records:
            values[partition].append(value)
        return [self._batch(partition, some, ts_ms) for partition, some in values.items()]

    def _batch(self, partition: int, values: list[bytes | None], ts_ms: int) -> RecordBatch:
        start, count = self._ends[partition], len(values)
        self._ends[partition] += count
        offsets = range(start, start + count)
        stamps = [ts_ms] * count
        return RecordBatch(self._topic, partition, start, offsets, [None] * count, values, stamps)


@click.command()
@click.option("--events", default=6_144, help="Of a full round.")
@click.option("--few", default=96, help="Events of a small round.")
@click.option("--rounds", default=40, help="Full rounds; of small ones there are ten times more.")
def main(events: int, few: int, rounds: int) -> None:
    """Measure the user fold and the item fold by themselves."""
    with tempfile.TemporaryDirectory() as models:
        publish_tiny_bundle(Path(models), tiny_items(ITEMS))
        user_s, item_s = asyncio.run(_measure(models, [events] * rounds))
        few_user_s, few_item_s = asyncio.run(_measure(models, [events] * 8 + [few] * 10 * rounds))
    figures: dict[str, Any] = {
        "events_of_a_round": events,
        "user_us_per_event": round(statistics.median(user_s[8:]) / events * 1e6, 2),
        "item_us_per_event": round(statistics.median(item_s[8:]) / events * 1e6, 2),
        "events_of_a_small_round": few,
        "user_round_ms": round(statistics.median(few_user_s[8:]) * 1e3, 2),
        "item_round_ms": round(statistics.median(few_item_s[8:]) * 1e3, 2),
        "load_average": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))


async def _measure(models_dir: str, sizes: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return how long each round took on the user side and on the item side, s."""
    settings = Settings()
    store: Store = _NoStore()
    produced: Any = _Produced()
    now_ms = START_TS_MS + sum(sizes) * EVENT_EVERY_MS
    context = FoldContext(settings, PARTITIONS, store, produced, lambda: now_ms)
    vectors = LiveVectors(Path(models_dir))
    vectors.refresh()
    users, items = UserShell(context, vectors), ItemShell(context)
    for partition in range(PARTITIONS):
        await users.start(partition, 0)
        await items.start(partition, 0)
    keys, values = encoded_events(sum(sizes), users=USERS, items=ITEMS, seed=1)
    where = partition_of_hash(murmur2_many(keys), PARTITIONS).tolist()
    log = iter(zip(where, values, strict=True))
    events, deltas = _Log(users.topic), _Log(items.topic)
    user_s, item_s = [], []
    for size in sizes:
        some = events.batches((next(log) for _ in range(size)), now_ms)
        user_s.append(await _timed(users, some))
        deltas_made = (each for each in produced.records if each.topic == items.topic)
        made = ((each.partition, each.value or b"") for each in deltas_made)
        item_s.append(await _timed(items, deltas.batches(made, now_ms)))
    return user_s, item_s


async def _timed(shell: UserShell | ItemShell, batches: list[RecordBatch]) -> float:
    start = time.perf_counter()
    await shell.apply(batches)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
