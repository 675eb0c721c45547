"""Event time: copies, shuffled, late and future events, and a server whose clock jumps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer
from prometheus_client import REGISTRY

from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.records import TREND_HALF_LIVES_S
from streams.fold_shell import FoldContext
from streams.item_vectors import LiveVectors
from streams.memory_store import MemoryStore
from streams.record_batch import RecordBatch
from streams.user_shell import UserShell

from ..streams.conftest import MemoryProducer
from .conftest import Measured, Running
from .stream import START_MS, Stream

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

HOUR_S = 3_600
HOUR_MS = 1000 * HOUR_S
DAY_MS = 24 * HOUR_MS
GROUP = 400
PEOPLE = 20


@pytest.mark.fault(39, promise="counted once, and counted as a copy")
def test_an_event_that_is_sent_again_counts_once(
    running: Running, seed: int, measured: Measured
) -> None:
    """Three of ten come again a little later, as when a client tries once more."""
    stream = running.stream
    rng = np.random.default_rng(seed)
    copies = stream.repeated
    for _ in range(5):
        events = stream.events(GROUP // 5)
        stream.put(events)
        again = rng.choice(len(events), size=3 * len(events) // 10, replace=False)
        stream.repeat([events[row] for row in again])
    stream.catch_up()
    stream.check()
    measured(events=GROUP, copies=stream.repeated - copies)


def once_each(events: list[Event]) -> list[Event]:
    """Return the first event of each user on each item: of repeats, the first to arrive adds."""
    return list({(event.user_id, event.item_id): event for event in reversed(events)}.values())[
        ::-1
    ]


@pytest.mark.fault(40, promise="the same counters as in order, within an hour of disorder")
def test_the_order_of_events_does_not_change_the_counters(
    running: Running, seed: int, measured: Measured
) -> None:
    """The same things happen to two sets of items: to one in order, to the other shuffled."""
    stream = running.stream
    rng = np.random.default_rng(seed)
    events = stream.events(GROUP)
    in_order, shuffled = (once_each(spread(events, name)) for name in ("steady", "shuffled"))
    stream.put(in_order)
    stream.put([shuffled[row] for row in rng.permutation(len(in_order))])
    stream.catch_up()
    stream.check()
    compared = 0
    for number in range(PEOPLE):
        one = stream.reader.item(f"steady-item-{number}")
        other = stream.reader.item(f"shuffled-item-{number}")
        assert one is not None
        assert other is not None
        for name in ("type_counts", "trend", "first_ts_ms", "last_ts_ms"):
            assert np.array_equal(one[name], other[name]), (number, name)
        compared += 1
    measured(events=2 * len(in_order), items_compared=compared)


@pytest.mark.fault(41, promise="counted, and in no trend of minutes or hours")
def test_an_event_of_days_ago_is_counted_and_makes_no_trend(
    running: Running, measured: Measured
) -> None:
    """A telephone that was switched off sends what it has kept."""
    stream = running.stream
    now = stream.events(20, item="item-rising")
    stream.put(now)
    stream.catch_up()
    before = stream.reader.item("item-rising")
    late = [
        msgspec.structs.replace(event, ts_ms=event.ts_ms - 3 * DAY_MS, type="click")
        for event in stream.events(20, item="item-rising")
    ]
    stream.put(late)
    stream.catch_up()
    stream.check()
    after = stream.reader.item("item-rising")
    assert before is not None
    assert after is not None
    quick = [level for level, half_life_s in enumerate(TREND_HALF_LIVES_S) if half_life_s <= HOUR_S]
    assert quick
    assert np.array_equal(before["trend"][quick], after["trend"][quick])
    measured(late=len(late), counted=int(after["type_counts"].sum()))


@pytest.mark.fault(42, promise="counts at the time of the log, where the watermark stays")
def test_an_event_from_the_future_does_not_move_the_watermark(
    running: Running, measured: Measured
) -> None:
    """A producer whose clock is a day ahead of the log's."""
    stream = running.stream
    stream.send(100)
    stream.catch_up()
    topic = Topics(stream.settings.namespace).events
    bootstrap = stream.settings.kafka_bootstrap
    ahead = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for event in stream.events(20):
        future = msgspec.structs.replace(event, ts_ms=START_MS + DAY_MS)
        partition = partition_of(event.user_id, stream.partitions)
        ahead.produce(topic, encode(future), partition=partition, timestamp=START_MS)
        stream.logs[partition].append(event)
        stream.count(event, 1)
    assert ahead.flush(10) == 0
    stream.catch_up()
    stream.check()
    assert max(watermarks(stream)) < START_MS + DAY_MS
    assert stream.applied("user", "clamped") == 20
    measured(from_the_future=20, clamped=stream.applied("user", "clamped"))


@pytest.mark.fault(43, promise="the same state; no time that is measured is negative")
async def test_a_server_whose_clock_jumps_makes_the_same_state(tmp_path: Path) -> None:
    """An hour on, an hour back, between every two looks at it."""
    steady = await folded(tmp_path, itertools.repeat(START_MS))
    jumps = (START_MS + sign * HOUR_MS for sign in itertools.cycle((1, -1)))
    before = measured_freshness_s()
    jumping = await folded(tmp_path, jumps)
    assert jumping.positions == steady.positions
    assert jumping.hashes == steady.hashes
    assert steady.positions
    assert measured_freshness_s() >= before


async def folded(models: Path, times: Iterator[int]) -> MemoryStore:
    """Fold some batches in memory, under a clock that says these times."""
    store, producer = MemoryStore(), MemoryProducer()
    context = FoldContext(Settings(), 1, store, producer, lambda: next(times))  # type: ignore[arg-type]
    shell = UserShell(context, LiveVectors(models))
    await shell.start(0, 0)
    for first in range(0, 100, 10):
        offsets = list(range(first, first + 10))
        values = [
            encode(
                Event(
                    event_id=f"e{number}",
                    type="click",
                    user_id=f"user-{number % 7}",
                    item_id=f"item-{number % 3}",
                    ts_ms=START_MS + number,
                )
            )
            for number in offsets
        ]
        keys, ts_ms = [b"k"] * 10, [START_MS] * 10
        await shell.apply([RecordBatch(shell.topic, 0, first, offsets, keys, values, ts_ms)])
    return store


def measured_freshness_s() -> float:
    """Return the sum of all freshness that this process has measured."""
    name, labels = "freshet_event_freshness_seconds_sum", {"fold": "users"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


def watermarks(stream: Stream) -> list[int]:
    """Return the watermark of each partition, ms."""
    return [position["watermark_ts_ms"] for position in stream.reader.user_positions()]


def spread(events: Sequence[Event], name: str) -> list[Event]:
    """Return the events as those of other people and items, spread over an hour."""
    step_ms = HOUR_MS // len(events)
    return [
        msgspec.structs.replace(
            event,
            event_id=f"{name}-{event.event_id}",
            user_id=f"{name}-user-{row % PEOPLE}",
            item_id=f"{name}-item-{(row // 3) % PEOPLE}",
            ts_ms=events[0].ts_ms + row * step_ms,
        )
        for row, event in enumerate(events)
    ]
