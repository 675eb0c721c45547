"""Pull a plug in mid-stream: every count of every user and item stays exact.

On the embedded broker and on Apache Kafka. The audit itself is shown to fail when an event is
missing, since a test that cannot fail proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import redis
from confluent_kafka import Consumer

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import EVENT_TYPES, Event
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

USERS, ITEMS, KILLS, CHUNK = 50, 30, 3, 3_000
START_MS = 1_700_000_000_000

Counts = Counter[tuple[str, str]]
Start = Callable[[Settings], Child]
WaitUntil = Callable[..., None]


@dataclass
class Stream:
    """Events under way, and what the state must say of them in the end."""

    settings: Settings
    reader: StateReader
    producer: EventProducer
    partitions: int
    users: Counts
    items: Counts
    sent: int = 0

    def send(self, count: int) -> None:
        """Produce events of known truth and wait for their acknowledgement."""
        rng = np.random.default_rng(self.sent)
        topic = Topics(self.settings.namespace).events
        for number in range(self.sent, self.sent + count):
            user = f"user-{rng.integers(USERS)}"
            item = f"item-{int(rng.zipf(1.5)) % ITEMS}"
            kind: Any = EVENT_TYPES[rng.integers(len(EVENT_TYPES))]
            event = Event(
                event_id=f"e{number}",
                type=kind,
                user_id=user,
                item_id=item,
                ts_ms=START_MS + number * 100,
            )
            where = partition_of(user, self.partitions)
            self.producer.send(topic, where, encode(event), key=user.encode())
            self.users[user, kind] += 1
            self.items[item, kind] += 1
        self.producer.flush()
        self.sent += count

    def applied(self, side: str) -> int:
        """How many events the positions of one side count."""
        positions: list[dict[str, int]] = getattr(self.reader, f"{side}_positions")()
        return sum(position.get("applied", 0) for position in positions)

    def found(self, side: str) -> Counts:
        """What the records of one side count."""
        ids, records = getattr(self.reader, side)()
        return Counter(
            {
                (name, kind): int(count)
                for name, record in zip(ids, records, strict=True)
                for kind, count in zip(EVENT_TYPES, record["type_counts"], strict=True)
                if count
            }
        )

    def wait_until_applied(self, wait_until: WaitUntil) -> None:
        """Wait until both sides count everything."""
        for side in ("user", "item"):
            wait_until(
                lambda side=side: self.applied(side) >= self.sent, 60, f"{side} side caught up"
            )

    def check(self) -> None:
        """Every count of every user and item is exact."""
        assert self.found("users") == self.users
        assert self.found("items") == self.items
        assert self.applied("user") == self.applied("item") == self.sent


@pytest.fixture(params=["settings", pytest.param("kafka_settings", marks=pytest.mark.kafka)])
def stream(request: pytest.FixtureRequest) -> Any:
    settings: Settings = request.getfixturevalue(request.param)
    partitions = discover_partitions(settings)
    reader = StateReader(redis.Redis.from_url(settings.redis_url), settings.namespace, partitions)
    producer = EventProducer(settings.kafka_bootstrap)
    yield Stream(settings, reader, producer, partitions, Counter(), Counter())
    producer.close()


def worker_process(supervisor: Child) -> psutil.Process | None:
    """The worker below a supervisor, if it is running."""
    for process in psutil.Process(supervisor.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            if "--alone" in process.cmdline():
                return process
    return None


def test_kill_9_in_mid_stream_loses_and_doubles_nothing(
    stream: Stream, worker: Start, wait_until: WaitUntil
) -> None:
    """Again and again, while events keep coming; the supervisor brings the worker back."""
    supervisor = worker(stream.settings)
    for _ in range(KILLS):
        before = stream.applied("user")
        stream.send(CHUNK)
        wait_until(lambda before=before: stream.applied("user") > before, 60, "some are applied")
        process = worker_process(supervisor)
        assert process is not None
        process.kill()
        wait_until(
            lambda old=process.pid: (new := worker_process(supervisor)) and new.pid != old,
            30,
            "the supervisor starts another",
        )
    stream.wait_until_applied(wait_until)
    stream.check()


def test_the_audit_notices_one_missing_event(
    stream: Stream, worker: Start, wait_until: WaitUntil
) -> None:
    """The control: claim one event more than was sent, and the check fails."""
    worker(stream.settings)
    stream.send(500)
    stream.wait_until_applied(wait_until)
    stream.check()
    stream.users["user-1", "click"] += 1
    with pytest.raises(AssertionError):
        stream.check()


def test_a_redis_that_lost_everything_is_filled_again(
    stream: Stream, worker: Start, wait_until: WaitUntil
) -> None:
    """FLUSHALL under way: the worker finds the position gone, ends, and reads from the start."""
    worker(stream.settings)
    stream.send(2_000)
    wait_until(lambda: stream.applied("user") > 0)
    redis.Redis.from_url(stream.settings.redis_url).flushall()
    stream.send(2_000)
    # Item deltas are emitted again for the old events; their rows count once, by source offset.
    stream.wait_until_applied(wait_until)
    stream.check()


def test_two_workers_share_the_partitions_and_one_dies(
    stream: Stream, worker: Start, wait_until: WaitUntil
) -> None:
    """A rebalance in each direction, and no event of the dead one's partitions is missed."""
    worker(stream.settings)
    stream.send(1_000)
    stream.wait_until_applied(wait_until)
    second = worker(stream.settings)
    stream.send(2_000)
    wait_until(lambda: worker_process(second) is not None)
    stream.send(2_000)
    os.kill(second.pid, signal.SIGKILL)  # the supervisor; its worker is tied to it
    stream.send(2_000)
    stream.wait_until_applied(wait_until)
    stream.check()


def test_sigterm_ends_the_worker_in_time(
    stream: Stream, worker: Start, wait_until: WaitUntil
) -> None:
    """Asked to stop while it works, it stops with code 0, and the next one goes on."""
    first = worker(stream.settings)
    stream.send(3_000)
    wait_until(lambda: stream.applied("user") > 0)
    assert first.stop(stream.settings.shutdown_s + 5) == 0
    worker(stream.settings)
    stream.wait_until_applied(wait_until)
    stream.check()


def test_poison_goes_to_the_dead_letters_and_its_neighbours_count(
    stream: Stream, worker: Start, wait_until: WaitUntil
) -> None:
    """Topic, partition, offset and reason stand in the headers."""
    topics = Topics(stream.settings.namespace)
    worker(stream.settings)
    stream.send(50)
    poison = {b"{bad": "undecodable", b'{"type": "click"}': "invalid", b"": "empty"}
    for raw in poison:
        stream.producer.send(topics.events, 0, raw, key=b"k")
    stream.send(50)
    stream.wait_until_applied(wait_until)
    stream.check()
    consumer = Consumer(
        {
            "bootstrap.servers": stream.settings.kafka_bootstrap,
            "group.id": f"{stream.settings.namespace}-audit",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topics.dead_letters])
    letters: list[Any] = []

    def read() -> bool:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            letters.append(message)
        return len(letters) >= len(poison)

    wait_until(read, 30, "dead letters")
    consumer.close()
    for letter in letters:
        headers = {name.rpartition(".")[2]: value.decode() for name, value in letter.headers()}
        assert headers["topic"] == topics.events
        assert headers["partition"] == "0"
        assert headers["offset"].isdigit()
        assert headers["reason"] == poison[letter.value() or b""]


def test_a_position_behind_the_end_is_refused(
    stream: Stream, worker: Start, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """The topic was created anew: starting would skip events, so the worker says so and ends."""
    client = redis.Redis.from_url(stream.settings.redis_url)
    client.hset(f"{stream.settings.namespace}:{{u0}}:position", "next", 10**9)
    refused = worker(stream.settings)
    wait_until(lambda: not refused.running, 30, "the worker ends")
    assert refused.process.returncode == 2
    assert "the topic was created anew" in refused.log_tail()
