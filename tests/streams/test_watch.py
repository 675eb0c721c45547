"""The watch sees a worker from outside its event loop, and ends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaException
from prometheus_client import REGISTRY

from freshet.core.errors import LivenessError
from streams import watch as watch_module
from streams.liveness import AssignedPositions, Limits, Partition
from streams.watch import Watch

USERS_0: Partition = ("users", 0)
USERS_1: Partition = ("users", 1)
SOON = Limits(stall_s=0.3, broker_gone_s=0.3)
NEVER = Limits(stall_s=1e6, broker_gone_s=1e6)


class Logs:
    """Stands for the brokers."""

    def __init__(self, ends: dict[Partition, int], waiting: int | None = None) -> None:
        self.ends = ends
        self.waiting = waiting
        self.failing = False

    def read(self, _partitions: Iterable[Partition]) -> dict[Partition, int]:
        return dict(self.ends)

    def next_record(self, _partition: Partition, _offset: int) -> int | None:
        if self.failing:
            raise KafkaException("away")
        return self.waiting


class Ended:
    """Stands for the end of the process, and keeps the error."""

    def __init__(self) -> None:
        self.happened = threading.Event()
        self.errors: list[BaseException] = []

    def __call__(self, error: BaseException) -> None:
        self.errors.append(error)
        self.happened.set()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def watch_of(
    loop: asyncio.AbstractEventLoop,
    logs: Any,
    positions: dict[Partition, int],
    *,
    limits: Limits = NEVER,
    end: Ended | None = None,
) -> tuple[Watch, AssignedPositions]:
    assigned = AssignedPositions()
    assigned.assign(positions)
    for partition, at in positions.items():
        assigned.move(partition, at)
    return Watch(assigned, logs, limits, end or Ended(), loop), assigned


def metric(name: str, partition: Partition) -> float | None:
    fold, number = partition
    return REGISTRY.get_sample_value(name, {"fold": fold, "partition": str(number)})


def test_ends_and_lag_are_exported_for_its_own_partitions(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """And no longer once a partition is another worker's."""
    logs = Logs({USERS_0: 10, USERS_1: 4})
    watch, positions = watch_of(loop, logs, {USERS_0: 3, USERS_1: 4})
    watch.look()
    assert metric("freshet_partition_end_offset", USERS_0) == 10
    assert metric("freshet_consumer_lag_records", USERS_0) == 7
    assert metric("freshet_consumer_lag_records", USERS_1) == 0
    assert (watch.health().partitions, watch.health().lag) == (2, 7)
    positions.revoke()
    positions.assign([USERS_1])
    positions.move(USERS_1, 4)
    watch.look()
    assert metric("freshet_consumer_lag_records", USERS_0) is None
    assert metric("freshet_partition_end_offset", USERS_0) is None
    assert metric("freshet_consumer_lag_records", USERS_1) == 0


def test_a_stall_ends_the_process_and_is_told(loop: asyncio.AbstractEventLoop) -> None:
    """`/livez` names the reason while the end is under way."""
    ended = Ended()
    watch, _ = watch_of(loop, Logs({USERS_0: 10}, waiting=3), {USERS_0: 3}, limits=SOON, end=ended)
    assert watch.health().alive
    watch.start()
    assert ended.happened.wait(20)
    (error,) = ended.errors
    assert isinstance(error, LivenessError)
    assert error.reason == "stalled"
    assert not watch.health().alive
    assert "stands at offset 3" in watch.health().status


@pytest.mark.parametrize("waiting", [None, 10])
def test_a_log_without_a_record_to_read_is_no_stall(
    loop: asyncio.AbstractEventLoop, waiting: int | None
) -> None:
    """Its end is past the position, but only markers lie between."""
    ended = Ended()
    logs = Logs({USERS_0: 10}, waiting=waiting)
    watch, _ = watch_of(loop, logs, {USERS_0: 3}, limits=SOON, end=ended)
    watch.start()
    assert not ended.happened.wait(1.2)
    watch.stop()


def test_brokers_that_do_not_say_are_asked_again(loop: asyncio.AbstractEventLoop) -> None:
    """In doubt the worker lives."""
    ended = Ended()
    logs = Logs({USERS_0: 10}, waiting=3)
    logs.failing = True
    watch, _ = watch_of(loop, logs, {USERS_0: 3}, limits=SOON, end=ended)
    watch.start()
    assert not ended.happened.wait(0.8)
    logs.failing = False
    assert ended.happened.wait(20)


def test_a_wedged_event_loop_ends_the_process(loop: asyncio.AbstractEventLoop) -> None:
    """Although nothing waits in the log."""
    release, ended = threading.Event(), Ended()
    loop.call_soon_threadsafe(release.wait)
    watch, _ = watch_of(loop, Logs({USERS_0: 3}), {USERS_0: 3}, limits=SOON, end=ended)
    watch.start()
    try:
        assert ended.happened.wait(20)
    finally:
        release.set()
    assert "event loop" in str(ended.errors[0])


def test_a_silent_event_loop_is_not_well_before_it_is_a_stall(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/livez` answers from another thread, and says so."""
    monkeypatch.setattr(watch_module, "SILENT_S", -1e6)
    release = threading.Event()
    watch, _ = watch_of(loop, Logs({USERS_0: 3}), {USERS_0: 3})
    loop.call_soon_threadsafe(release.wait)
    watch.look()
    status = watch.health().status
    release.set()
    assert "event loop is silent" in status


def test_no_broker_ends_the_process(loop: asyncio.AbstractEventLoop) -> None:
    """The next one may find another way."""
    ended = Ended()
    watch, _ = watch_of(loop, Logs({}), {USERS_0: 3}, limits=SOON, end=ended)
    watch.start()
    assert ended.happened.wait(20)
    assert "broker_gone" in str(ended.errors[0])


def test_a_worker_that_stops_is_not_ended(loop: asyncio.AbstractEventLoop) -> None:
    """It has a time limit of its own."""
    ended = Ended()
    watch, _ = watch_of(loop, Logs({}), {USERS_0: 3}, limits=SOON, end=ended)
    watch.start()
    watch.stop()
    assert not ended.happened.wait(0.6)
