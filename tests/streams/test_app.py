"""The Faust app: every error ends the process, and nothing moves that was not applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn

import pytest
from aiokafka.consumer import fetcher
from faust.assignor.client_assignment import CopartitionedAssignment
from faust.assignor.copartitioned_assignor import CopartitionedAssignor
from faust.types import TP

from freshet.core.errors import ServiceError
from freshet.core.settings import Settings
from streams import app as module
from streams.app import _agent, _rounds, create_app
from streams.liveness import AssignedPositions
from streams.record_batch import RecordBatch
from streams.rounds import WAITING, Rounds
from streams.transport import BatchConsumer


class Ended(Exception):  # noqa: N818 - what stands for the end of a process
    """The process would have ended."""


class Failures:
    """Ends the process: notes why, and never returns."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def __call__(self, error: BaseException) -> NoReturn:
        self.errors.append(error)
        raise Ended from error


class Fold:
    """A fold that keeps what it is given."""

    most_bytes: int | None = None
    alone: bytes | None = None

    def __init__(self, name: str, position: int = 0) -> None:
        self.name, self.topic = name, f"test.{name}"
        self.position = position
        self.error: Exception | None = None
        self.applied: list[list[int]] = []
        self.may_apply = asyncio.Event()
        self.may_apply.set()

    async def start(self, partition: int, earliest: int) -> int:
        if self.error:
            raise self.error
        return max(self.position, earliest)

    async def apply(self, batches: Sequence[RecordBatch]) -> None:
        await self.may_apply.wait()
        if self.error:
            raise self.error
        self.applied.append([offset for batch in batches for offset in batch.offsets])


class Made:
    """An app that is never started, and what its transport was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.folds = [Fold("users", 4), Fold("items")]
        self.fail, self.positions = Failures(), AssignedPositions()
        self.given: tuple[Any, ...] = ()

        make = module.batch_transport

        def keep(*given: Any) -> Any:
            self.given = given
            return make(*given)

        monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
        monkeypatch.setattr(module, "batch_transport", keep)
        folds: Any = self.folds
        self.app = create_app(
            Settings(namespace="test", **settings), folds, fail=self.fail, positions=self.positions
        )
        self.start_offset, self.drain, self.full = self.given[:3]


@pytest.fixture
async def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def batch(*offsets: int, partition: int = 0) -> RecordBatch:
    """A record at each offset."""
    n = len(offsets)
    return RecordBatch(
        "test.users", partition, offsets[0], offsets, [None] * n, [b"x"] * n, [0] * n
    )


async def settled() -> None:
    """Let everything run that can run now."""
    for _ in range(30):
        await asyncio.sleep(0)


# --- the app ---


async def test_each_fold_has_an_agent_that_reads_its_topic(made: Made) -> None:
    """One at a time: more would acknowledge beyond what is unfinished."""
    agents = made.app.agents
    assert sorted(agents) == ["test.items", "test.users"]
    for name, agent in agents.items():
        assert agent.concurrency == 1
        assert list(agent.get_topic_names()) == [name]


async def test_nothing_of_faust_touches_topics_or_keeps_state(made: Made) -> None:
    """What we do not use is off."""
    conf = made.app.conf
    assert conf.topic_allow_declare is False
    assert conf.topic_disable_leader is True
    assert conf.web_enabled is False
    assert conf.stream_wait_empty is True
    assert str(conf.store) == "memory:"
    assert conf.processing_guarantee.value == "at_least_once"


@pytest.mark.parametrize(("partitions", "workers"), [(4, 2), (4, 3), (16, 3), (2, 1)])
async def test_a_worker_that_joins_gets_partitions(
    made: Made, partitions: int, workers: int
) -> None:
    """Also where the others have no more than the largest fair share: 2 and 2 of 4, for a third."""
    held = [set(range(first, partitions, workers)) for first in range(workers)]
    found = CopartitionedAssignor(
        topics={"test.users"},
        cluster_asgn={
            f"worker-{number}": CopartitionedAssignment(actives=some, topics={"test.users"})
            for number, some in enumerate([*held, set()])
        },
        num_partitions=partitions,
        replicas=made.app.assignor.replicas,
    ).get_assignment()
    counts = [len(each.actives) for each in found.values()]
    assert sum(counts) == partitions
    assert max(counts) - min(counts) <= 1


async def test_all_brokers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as a URL of its own."""
    app = Made(monkeypatch, kafka_bootstrap="one:9092,two:9093").app
    assert [str(url) for url in app.conf.broker] == ["kafka://one:9092", "kafka://two:9093"]


async def test_the_transport_is_ours(made: Made) -> None:
    """With the settings and the end that the app was given."""
    assert made.given[3] is made.fail
    assert issubclass(made.app.transport.Consumer, BatchConsumer)


# --- the start of a partition ---


async def test_a_partition_starts_where_its_fold_says(made: Made) -> None:
    """And is known to have come there."""
    made.positions.assign([("users", 1), ("items", 1)])
    assert await made.start_offset(TP("test.users", 1), 0) == 4
    assert await made.start_offset(TP("test.items", 1), 2) == 2
    assert made.positions.read() == {("users", 1): 4, ("items", 1): 2}


@pytest.mark.parametrize(
    "error", [ServiceError("redis", "away"), ZeroDivisionError()], ids=["service", "bug"]
)
async def test_a_partition_that_cannot_start_ends_the_worker(made: Made, error: Exception) -> None:
    """Whatever the reason; it is not known as started."""
    made.positions.assign([("users", 1)])
    made.folds[0].error = error
    with pytest.raises(Ended):
        await made.start_offset(TP("test.users", 1), 0)
    assert made.fail.errors == [error]
    assert made.positions.read() == {("users", 1): None}


async def test_partitions_that_come_and_go_are_noted(made: Made) -> None:
    """By fold and number, as whoever watches the worker reads them."""
    some = {TP("test.users", 0), TP("test.items", 3)}
    await made.app.on_partitions_assigned.send(some)
    assert made.positions.read() == {("users", 0): None, ("items", 3): None}
    await made.app.on_partitions_revoked.send(some)
    assert made.positions.read() is None


# --- rounds ---


async def test_what_was_applied_moves_its_position(made: Made) -> None:
    """Each partition to the end of its batch."""
    made.positions.assign([("users", 0), ("users", 2)])
    fold: Any = made.folds[0]
    rounds = _rounds(fold, Settings(), made.fail, made.positions)
    await rounds._apply([batch(4, 7), batch(1, partition=2)])
    assert fold.applied == [[4, 7, 1]]
    assert made.positions.read() == {("users", 0): 8, ("users", 2): 2}


async def test_an_error_of_a_fold_ends_the_worker_before_anything_moves(made: Made) -> None:
    """The position that is shown outside is that of the state."""
    made.positions.assign([("users", 0)])
    fold: Any = made.folds[0]
    fold.error = ServiceError("redis", "away")
    rounds = _rounds(fold, Settings(), made.fail, made.positions)
    with pytest.raises(Ended):
        await rounds._apply([batch(0)])
    assert made.fail.errors == [fold.error]
    assert made.positions.read() == {("users", 0): None}


async def test_rounds_are_cut_as_settings_and_fold_say(made: Made) -> None:
    """So many records, so many bytes, and what must be alone."""
    fold: Any = made.folds[0]
    fold.most_bytes, fold.alone = 9, b"!"
    rounds = _rounds(fold, Settings(batch_events=3), made.fail, made.positions)
    assert rounds._cut == (3, 9, b"!")


async def fetches(*given: list[RecordBatch]) -> AsyncIterator[list[RecordBatch]]:
    """A stream of Faust's that ends."""
    for each in given:
        yield each
        await settled()


async def test_an_agent_applies_all_that_it_is_handed(made: Made) -> None:
    """In order, one batch of a partition in a round."""
    fold: Any = made.folds[0]
    rounds = _rounds(fold, Settings(), made.fail, made.positions)
    await _agent(rounds)(fetches([batch(0), batch(0, partition=1)], [batch(1)]))
    assert fold.applied == [[0, 0], [1]]


async def test_an_agent_that_ends_takes_its_rounds_with_it(made: Made) -> None:
    """Nothing goes on behind it."""
    rounds = Rounds(made.folds[0].apply, most_records=9, most_bytes=None)
    before = len(asyncio.all_tasks())
    await _agent(rounds)(fetches())
    await settled()
    assert len(asyncio.all_tasks()) == before


# --- backpressure and rebalances ---


async def test_partitions_with_much_waiting_are_full(made: Made) -> None:
    """Each by its own topic; nothing is while nothing waits."""
    assert made.full() == set()
    made.folds[0].may_apply.clear()
    stream = fetches(*[[batch(offset, partition=3)] for offset in range(WAITING + 5)])
    agent = made.app.agents["test.users"].fun(stream)
    running = asyncio.create_task(agent)
    await settled()
    for _ in range(9):
        await settled()
    assert made.full() == {TP("test.users", 3)}
    running.cancel()


async def test_draining_waits_for_what_is_under_way_and_drops_the_rest(made: Made) -> None:
    """The next worker reads from where Redis is."""
    fold = made.folds[0]
    fold.may_apply.clear()

    async def held() -> AsyncIterator[list[RecordBatch]]:
        for offset in range(6):
            yield [batch(offset)]
            await settled()
        await asyncio.Event().wait()

    running = asyncio.create_task(made.app.agents["test.users"].fun(held()))
    for _ in range(9):
        await settled()
    draining = asyncio.create_task(made.drain())
    await settled()
    assert not draining.done()
    fold.may_apply.set()
    await asyncio.wait_for(draining, 5)
    applied = [offset for offsets in fold.applied for offset in offsets]
    assert applied == list(range(len(applied)))
    assert 0 < len(applied) < 6
    running.cancel()
