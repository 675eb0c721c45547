"""The batch transport: whole fetches, from the positions in Redis, with nothing left between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import faust
import pytest
from aiokafka.consumer import fetcher
from faust.types import TP

from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.client import READ_COMMITTED
from freshet.core.settings import Settings
from streams.fetched_records import FetchedRecords, PartitionColumns
from streams.pace import IDLE_WAIT_MS
from streams.record_batch import RecordBatch
from streams.transport import MUCH_BYTES, BatchSchema, batch_transport

U0, U1, I0 = TP("users", 0), TP("users", 1), TP("items", 0)


class Ended(Exception):  # noqa: N818 - what stands for the end of a process
    """The process would have ended."""


class KafkaThread:
    """Stands for Faust's thread with aiokafka: logs in memory, from `first` to `end`."""

    def __init__(self) -> None:
        self.assigned: set[TP] = {U0, U1, I0}
        self.first = dict.fromkeys(self.assigned, 0)
        self.end = dict.fromkeys(self.assigned, 100)
        self.fetches: list[dict[TP, list[FetchedRecords]]] = []
        self.asked: list[set[TP]] = []
        self.sought: list[dict[TP, int]] = []
        self.paces: list[bool] = []
        self.fetched = lambda: None

    def keep_pace(self, kept: bool) -> None:
        self.paces.append(kept)

    def assignment(self) -> set[TP]:
        return self.assigned

    async def getmany(self, active: set[TP], timeout: float) -> Mapping[TP, Any]:  # noqa: ASYNC109
        self.asked.append(set(active))
        self.fetched()
        return self.fetches.pop(0) if self.fetches else {}

    async def earliest_offsets(self, *tps: TP) -> Mapping[TP, int | None]:
        return {tp: self.first[tp] for tp in tps}

    async def highwaters(self, *tps: TP) -> Mapping[TP, int | None]:
        return {tp: self.end[tp] for tp in tps}

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        self.sought.append(dict(positions))


class Around:
    """What a worker gives to the transport."""

    def __init__(self) -> None:
        self.positions = {U0: 0, U1: 0, I0: 0}
        self.started: list[tuple[TP, int]] = []
        self.full: set[TP] = set()
        self.drained = 0
        self.on_start: Callable[[TP], object] = lambda _tp: None

    async def start_offset(self, tp: TP, earliest: int) -> int:
        self.started.append((tp, earliest))
        self.on_start(tp)
        return self.positions[tp]

    async def drain(self) -> None:
        self.drained += 1

    def fail(self, error: BaseException) -> Any:
        raise Ended from error


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Around:
    """What stands around the transport; the patch of aiokafka ends with the test."""
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    return Around()


@pytest.fixture
async def consumer(around: Around) -> Any:
    """A consumer that is assigned three partitions, before its first seek."""
    app = faust.App("test", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False)
    transport = batch_transport(
        around.start_offset,
        around.drain,
        lambda: around.full,
        around.fail,
        Settings(),
        IDLE_WAIT_MS,
    )(app.conf.broker_consumer, app)

    async def nothing(*_: Any) -> None:
        """Faust's own part."""

    made = transport.Consumer(
        transport, callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing
    )
    made._thread = KafkaThread()
    made._set_active_tps(made._thread.assigned)
    app.consumer_generation_id = 7
    return made


def fetched(*offsets: int) -> list[FetchedRecords]:
    """What aiokafka hands over of a partition: one object for a fetch."""
    return [
        FetchedRecords(
            list(offsets),
            [b"k%d" % offset for offset in offsets],
            [b"v%d" % offset for offset in offsets],
            [1000 + offset for offset in offsets],
        )
    ]


async def read(consumer: Any) -> list[tuple[TP, Any]]:
    """One look for records."""
    return [each async for each in consumer.getmany(timeout=1.0)]


def spans(batches: Iterable[RecordBatch]) -> list[tuple[str, int, int, list[int]]]:
    """Where batches are from, where reading went on, and what they hold."""
    return [(each.topic, each.partition, each.start, list(each.offsets)) for each in batches]


async def test_nothing_fetched_is_no_message(consumer: Any) -> None:
    """The agents are not woken."""
    assert await read(consumer) == []


async def test_a_fetch_is_one_message_for_each_topic(consumer: Any) -> None:
    """With all its partitions, each record with its key, value and time."""
    await consumer.seek_to_committed()
    consumer._thread.fetches = [{U0: fetched(0, 1), I0: fetched(0), U1: fetched(0, 1, 2)}]
    messages = dict(await read(consumer))
    assert list(messages) == [U0, I0]
    users, items = (message.value for message in messages.values())
    assert spans(users) == [("users", 0, 0, [0, 1]), ("users", 1, 0, [0, 1, 2])]
    assert spans(items) == [("items", 0, 0, [0])]
    assert users[1].keys == [b"k0", b"k1", b"k2"]
    assert users[1].values == [b"v0", b"v1", b"v2"]
    assert users[1].ts_ms == [1000, 1001, 1002]
    assert (messages[U0].offset, messages[U0].generation_id) == (1, 7)


async def test_reading_starts_where_redis_is(consumer: Any, around: Around) -> None:
    """Not at Kafka's commit; the start is asked for with where the log begins."""
    consumer._thread.first |= {U1: 3}
    around.positions = {U0: 12, U1: 3, I0: 0}
    assert await consumer.seek_to_committed() == {U0: 12, U1: 3, I0: 0}
    assert consumer._thread.sought == [{U0: 12, U1: 3, I0: 0}]
    assert sorted(around.started) == [(I0, 0), (U0, 0), (U1, 3)]


async def test_a_log_without_ends_begins_at_nothing(consumer: Any, around: Around) -> None:
    """The client says None of a partition that it has not met."""
    consumer._thread.assigned = {U0}
    consumer._thread.first |= {U0: None}
    consumer._thread.end |= {U0: None}
    await consumer.seek_to_committed()
    assert around.started == [(U0, 0)]


async def test_the_end_of_a_log_is_read_after_the_position(consumer: Any, around: Around) -> None:
    """Another worker applies the partition while it is being started: the log has grown too."""

    def apply_elsewhere(tp: TP) -> None:
        consumer._thread.end[tp] += 50
        around.positions[tp] = consumer._thread.end[tp]

    around.on_start = apply_elsewhere
    assert await consumer.seek_to_committed() == {U0: 150, U1: 150, I0: 150}
    assert len(around.started) == 3


async def test_a_state_of_another_log_ends_the_worker(consumer: Any, around: Around) -> None:
    """Nothing is sought: starting would skip what comes."""
    type(consumer).look_again_s = 0.0
    around.positions[U1] = 101
    with pytest.raises(Ended) as ended:
        await consumer.seek_to_committed()
    assert isinstance(ended.value.__cause__, SettingError)
    assert "users-1" in str(ended.value.__cause__)
    assert consumer._thread.sought == []


async def test_without_partitions_nothing_is_sought(consumer: Any, around: Around) -> None:
    """A worker too many."""
    consumer._thread.assigned = set()
    assert await consumer.seek_to_committed() == {}
    assert (around.started, consumer._thread.sought) == ([], [])


async def test_each_batch_names_where_reading_went_on(consumer: Any, around: Around) -> None:
    """From the position first, then from the batch before, also over a hole of compaction."""
    around.positions[U0] = 5
    await consumer.seek_to_committed()
    consumer._thread.fetches = [{U0: fetched(7, 9)}, {U0: fetched(10)}, {U0: fetched(14)}]
    found = [message.value for _ in range(3) for _, message in await read(consumer)]
    assert [spans(batches)[0][2:] for batches in found] == [(5, [7, 9]), (10, [10]), (11, [14])]


async def test_a_batch_that_was_fetched_and_not_handed_over_leaves_a_gap(consumer: Any) -> None:
    """The next one does not pretend that reading went on at its own first record."""
    await consumer.seek_to_committed()
    consumer._thread.fetches = [{U0: fetched(0, 1)}, {U0: fetched(2)}]
    consumer._active_partitions.discard(U0)
    assert await read(consumer) == []
    consumer._active_partitions.add(U0)
    ((_, message),) = await read(consumer)
    assert spans(message.value) == [("users", 0, 2, [2])]


async def test_what_is_buffered_of_a_paused_partition_is_handed_over(consumer: Any) -> None:
    """Faust notes such partitions by themselves."""
    await consumer.seek_to_committed()
    consumer._active_partitions.discard(U0)
    consumer._buffered_partitions.add(U0)
    consumer._thread.fetches = [{U0: fetched(0)}]
    ((tp, _),) = await read(consumer)
    assert tp == U0


async def test_a_log_that_dropped_what_comes_next_ends_the_worker(
    consumer: Any, around: Around
) -> None:
    """The client reads on at the new start without a word; here it is an error, and a loss."""
    around.positions[U0] = 5
    await consumer.seek_to_committed()
    consumer._thread.first[U0] = 7
    consumer._thread.fetches = [{U0: fetched(7)}]
    with pytest.raises(Ended) as ended:
        await read(consumer)
    assert isinstance(ended.value.__cause__, ServiceError)
    assert "users-0 begins at offset 7, expected at most 5" in str(ended.value.__cause__)


@pytest.mark.parametrize("when", ["before", "under way"])
async def test_a_rebalance_hands_nothing_over(
    consumer: Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched before it is read again from the new positions."""
    await consumer.seek_to_committed()
    consumer._thread.fetches = [{U0: fetched(0)}]
    sought = []

    async def seek() -> None:
        sought.append(True)

    monkeypatch.setattr(consumer, "perform_seek", seek)
    if when == "before":
        consumer._thread.fetched = lambda: setattr(consumer, "flow_active", False)
        assert await read(consumer) == []
        assert sought == [True]
        return
    consumer._thread.fetches = [{U0: fetched(0), I0: fetched(0)}]
    found = []
    async for tp, _ in consumer.getmany(timeout=1.0):
        found.append(tp)
        consumer.app.consumer_generation_id = 8
    assert found == [U0]


async def test_partitions_with_much_waiting_are_left_out(consumer: Any, around: Around) -> None:
    """The others are fetched; when all are full, nothing is asked and nothing is an error."""
    await consumer.seek_to_committed()
    around.full = {U0}
    consumer._thread.fetches = [{U1: fetched(0)}]
    ((tp, _),) = await read(consumer)
    assert tp == U1
    assert consumer._thread.asked == [{U1, I0}]
    around.full = {U0, U1, I0}
    assert await read(consumer) == []
    assert consumer._thread.asked == [{U1, I0}]


async def test_what_is_under_way_is_finished_before_partitions_go(
    consumer: Any, around: Around
) -> None:
    """The next worker reads the position that the last batch leaves."""
    await consumer.on_partitions_revoked({U0})
    assert around.drained == 1


async def test_what_was_read_is_committed_as_a_hint(consumer: Any, around: Around) -> None:
    """Never while the group is being formed again, and never an offset of nothing."""
    around.positions[U1] = 4
    await consumer.seek_to_committed()
    consumer._thread.fetches = [{U0: fetched(0, 1)}]
    await read(consumer)
    consumer._acked[U0].extend([0, 1])
    consumer._acked_index[U0] |= {0, 1}
    assert consumer._filter_committable_offsets([U0]) == {U0: 2, U1: 4}
    assert (consumer._acked[U0], consumer._acked_index[U0]) == ([], set())
    consumer.app.rebalancing = True
    assert consumer._filter_committable_offsets([U0, U1]) == {}


async def test_offsets_inside_a_batch_are_no_gap(consumer: Any) -> None:
    """Stock Faust would take them for acknowledged, and commit past what is unread."""
    await consumer._add_gap(U0, 1, 5)
    assert not consumer._gap[U0]


async def test_fetches_keep_a_pace_where_much_comes(consumer: Any) -> None:
    """Else each is answered by the first record, and few are asked for; said once per change."""
    thread = consumer._thread
    thread.fetches = [{U0: fetched(0)}, {U0: fetched(*range(1, 400))}, {U0: fetched(400)}]
    for _ in range(3):
        await read(consumer)
    assert thread.paces == [True]


async def test_what_a_pace_asks_the_brokers_for(consumer: Any) -> None:
    """At first none is kept; with one, fetches wait for much, or as long as the settings say."""
    made = type("Kafka", (), {})()
    thread = consumer._new_consumer_thread()
    stock: Any = type(thread).__mro__[1]
    before, stock._create_worker_consumer = stock._create_worker_consumer, lambda *_: made
    try:
        assert thread._create_worker_consumer(None) is made
    finally:
        stock._create_worker_consumer = before
    assert (made._fetch_min_bytes, made._fetch_max_wait_ms) == (1, IDLE_WAIT_MS)
    assert made._isolation_level == READ_COMMITTED
    made._fetcher = type("Fetcher", (), {})()
    thread._consumer = made
    thread.keep_pace(True)
    asked = made._fetcher
    assert asked._fetch_min_bytes == MUCH_BYTES
    assert asked._fetch_max_wait_ms == Settings().fetch_wait_ms
    thread.keep_pace(False)
    assert (asked._fetch_min_bytes, asked._fetch_max_wait_ms) == (1, IDLE_WAIT_MS)


async def test_a_hole_within_what_was_fetched_asks_nobody(consumer: Any) -> None:
    """Of a marker or of compaction: the start of the log is asked for where reading jumped."""
    consumer._thread.assigned = {U0}
    await consumer.seek_to_committed()
    asked: list[TP] = []

    async def earliest(*tps: TP) -> Mapping[TP, int | None]:
        asked.extend(tps)
        return dict.fromkeys(tps, 0)

    consumer._thread.earliest_offsets = earliest
    within = FetchedRecords([2], [b"k"], [b"v"], [1], start=0, end=5)
    jumped = FetchedRecords([9], [b"k"], [b"v"], [1], start=9, end=10)
    consumer._thread.fetches = [{U0: [within]}, {U0: [jumped]}]
    await read(consumer)
    assert asked == []
    await read(consumer)
    assert asked == [U0]


async def test_consumers_of_this_process_unpack_columns(consumer: Any) -> None:
    """Making the transport is what turns the client's records into columns."""
    assert fetcher.PartitionRecords is PartitionColumns


async def test_transports_do_not_share_what_they_are_given(around: Around) -> None:
    """Each has a class of its own: two apps of one process start at their own positions."""
    other = Around()
    first, second = (
        batch_transport(
            each.start_offset,
            each.drain,
            lambda each=each: each.full,
            each.fail,
            Settings(),
            IDLE_WAIT_MS,
        ).Consumer
        for each in (around, other)
    )
    around.full = {U0}
    assert (first.full(), second.full()) == ({U0}, set())
    assert asyncio.iscoroutinefunction(first.start_offset)


def test_keys_and_values_pass_as_they_are() -> None:
    """Decoding is the fold's work: here nothing can fail."""
    message = type("Message", (), {"key": b"\xff", "value": [b"\xfe"]})()
    schema = BatchSchema()
    assert schema.loads_key(None, message) == b"\xff"
    assert schema.loads_value(None, message) == [b"\xfe"]
