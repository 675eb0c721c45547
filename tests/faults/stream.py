"""Events of known truth under way, and what the state must say of them in the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import EVENT_TYPES, Event, Item
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader

USERS, ITEMS = 50, 30
START_MS = 1_700_000_000_000
STEP_MS = 100
CATCH_UP_S = 60.0

Counts = Counter[tuple[str, str]]
WaitUntil = Callable[..., None]


@dataclass
class Stream:
    """A producer that knows what it sent, and a reader of what was made of it.

    Attributes:
        users: events of each user and type that must be counted.
        items: the same of each item.
        sent: events that must be counted.
        repeated: events that came again and must not be.
        rejects: records that must be dead letters, by reason.
        logs: of each partition, the event in each offset; None where a record does not count.
    """

    settings: Settings
    wait_until: WaitUntil
    seed: int
    partitions: int
    reader: StateReader
    producer: EventProducer
    progress: ProgressReader
    users: Counts = field(default_factory=Counter)
    items: Counts = field(default_factory=Counter)
    sent: int = 0
    repeated: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    logs: list[list[Event | None]] = field(default_factory=list)

    def events(
        self, count: int, *, user: str | None = None, item: str | None = None
    ) -> list[Event]:
        """Make new events, of many users and items or of one."""
        first = sum(map(len, self.logs))
        rng = np.random.default_rng([self.seed, first])
        return [
            Event(
                event_id=f"e{number}",
                type=_drawn_type(rng),
                user_id=user or f"user-{rng.integers(USERS)}",
                item_id=item or f"item-{int(rng.zipf(1.5)) % ITEMS}",
                ts_ms=START_MS + number * STEP_MS,
            )
            for number in range(first, first + count)
        ]

    def put(self, events: Iterable[Event]) -> None:
        """Produce events that must be counted, and wait for their acknowledgement."""
        for event in events:
            self.produce(encode(event), partition_of(event.user_id, self.partitions), event)
            self.count(event, 1)
        self.producer.flush()

    def send(self, count: int, *, user: str | None = None, item: str | None = None) -> None:
        """Produce new events; see `events`."""
        self.put(self.events(count, user=user, item=item))

    def repeat(self, events: Iterable[Event]) -> None:
        """Produce events again, which must not be counted again."""
        for event in events:
            self.produce(encode(event), partition_of(event.user_id, self.partitions))
            self.repeated += 1
        self.producer.flush()

    def poison(self, value: bytes | None, partition: int, reason: str) -> None:
        """Produce a record that must become a dead letter."""
        self.produce(value, partition)
        self.rejects[reason] += 1

    def produce(self, value: bytes | None, partition: int, event: Event | None = None) -> None:
        """Produce a record into `events`; `event` is what must be counted of it."""
        topic = Topics(self.settings.namespace).events
        key = None if event is None else event.user_id.encode()
        self.producer.send(topic, partition, value, key=key)
        self.logs[partition].append(event)

    def offer(self, *item_ids: str) -> None:
        """Put items into the catalogue."""
        self._catalog({name: encode(Item(item_id=name, title=name)) for name in item_ids})

    def withdraw(self, *item_ids: str) -> None:
        """Take items out of the catalogue."""
        self._catalog(dict.fromkeys(item_ids))

    def count(self, event: Event, times: int) -> None:
        """Expect an event to be counted once more, or once less."""
        self.users[event.user_id, event.type] += times
        self.items[event.item_id, event.type] += times
        self.sent += times

    def forget(self, partition: int, first: int, end: int) -> None:
        """Expect that the events in some offsets of a partition are not counted: they were lost."""
        for at in range(first, end):
            event = self.logs[partition][at]
            if event is not None:
                self.count(event, -1)
                self.logs[partition][at] = None

    def applied(self, side: str = "user", name: str = "applied") -> int:
        """Return a total of the positions of one side."""
        positions: list[dict[str, int]] = getattr(self.reader, f"{side}_positions")()
        return sum(position.get(name, 0) for position in positions)

    def found(self, side: str) -> Counts:
        """Return what the records of one side count."""
        ids, records = getattr(self.reader, side)()
        return Counter(
            {
                (name, kind): int(count)
                for name, record in zip(ids, records, strict=True)
                for kind, count in zip(EVENT_TYPES, record["type_counts"], strict=True)
                if count
            }
        )

    def under_way(self, before: int) -> None:
        """Wait until more events are applied than before."""
        self.wait_until(lambda: self.applied() > before, CATCH_UP_S, "some are applied")

    def catch_up(self, timeout_s: float = CATCH_UP_S) -> float:
        """Wait until all logs are in the state; return how long that took, s."""
        started = time.monotonic()
        for side in ("user", "item"):
            self.wait_until(
                lambda side=side: self.applied(side) >= self.sent, timeout_s, f"{side} side"
            )
        self.wait_until(self.progress.drained, timeout_s, "positions at the ends of the logs")
        return time.monotonic() - started

    def check(self) -> None:
        """Every count of every user and item is exact, and so are the positions."""
        assert self.found("users") == +self.users
        assert self.found("items") == +self.items
        assert self.applied("user") == self.applied("item") == self.sent
        assert self.applied("user", "duplicates") == self.repeated
        assert self.applied("user", "rejected") == self.rejects.total()

    def dead_letters(self) -> list[dict[str, str]]:
        """Return the headers of all dead letters, each origin once.

        A letter may be written twice when a worker dies between letter and position.
        """
        with _assigned(self.settings, Topics(self.settings.namespace).dead_letters) as consumer:
            letters = [
                {name.rpartition(".")[2]: value.decode() for name, value in message.headers()}
                for message in _read_to_end(consumer)
            ]
        return list({(each["partition"], each["offset"]): each for each in letters}.values())

    def close(self) -> None:
        """Close the clients."""
        self.producer.close()
        self.progress.close()

    def _catalog(self, entries: dict[str, bytes | None]) -> None:
        topic = Topics(self.settings.namespace).catalog
        for name, entry in entries.items():
            self.producer.send(topic, partition_of(name, self.partitions), entry, key=name.encode())
        self.producer.flush()


def open_stream(settings: Settings, wait_until: WaitUntil, seed: int) -> Stream:
    """Return a stream of an installation without events; the broker must be there."""
    partitions = discover_partitions(settings)
    return Stream(
        settings,
        wait_until,
        seed,
        partitions,
        StateReader(connect(settings.redis_url), settings.namespace, partitions),
        # A record without company is a batch, and the embedded broker hands out one batch a fetch.
        EventProducer(settings.kafka_bootstrap, linger_ms=20),
        ProgressReader(settings, partitions),
        logs=[[] for _ in range(partitions)],
    )


def _drawn_type(rng: np.random.Generator) -> Any:
    return EVENT_TYPES[rng.integers(len(EVENT_TYPES))]


@contextmanager
def _assigned(settings: Settings, topic: str) -> Iterator[Consumer]:
    """A consumer at the start of every partition of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": f"{settings.namespace}-letters",  # never joined
            "enable.partition.eof": True,
        }
    )
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        yield consumer
    finally:
        consumer.close()


def _read_to_end(consumer: Consumer) -> Iterator[Any]:
    """Yield the messages of all assigned partitions up to their present end."""
    left = len(consumer.assignment())
    deadline = time.monotonic() + CATCH_UP_S
    while left and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error() is None:
            yield message
        else:  # the end of a partition
            left -= 1
    assert not left, "the dead letters could not be read"
