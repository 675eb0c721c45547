"""What a transaction took back is nowhere: not in counts, not in the catalogue, not as a lag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

import pytest
from confluent_kafka import Producer

from freshet.core.events.client import client_options
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event, Item
from freshet.core.events.topic_log import TopicLog
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child
from streams.log_ends import LogEnds

pytestmark = [pytest.mark.services, pytest.mark.kafka, pytest.mark.timeout(180)]

T0_MS = 1_764_000_000_000


class Transactions:
    """A producer that commits or takes back what it sends."""

    def __init__(self, settings: Settings, partitions: int, name: str) -> None:
        own = {"transactional.id": name, "linger.ms": 0}
        self._producer = Producer(client_options(settings) | own)
        self._producer.init_transactions(30)
        self._topics, self._partitions = Topics(settings.namespace), partitions

    def begin(self, events: Sequence[Event], items: Sequence[Item] = ()) -> None:
        """Send within a new transaction; all of it is in the log afterwards."""
        self._producer.begin_transaction()
        for event in events:
            self._send(self._topics.events, event.user_id, encode(event))
        for item in items:
            self._send(self._topics.catalog, item.item_id, encode(item))
        assert self._producer.flush(30) == 0

    def commit(self) -> None:
        self._producer.commit_transaction(30)

    def abort(self) -> None:
        self._producer.abort_transaction(30)

    def _send(self, topic: str, key: str, value: bytes) -> None:
        partition = partition_of(key, self._partitions)
        self._producer.produce(topic, key=key.encode(), value=value, partition=partition)


def clicks(prefix: str, n: int) -> list[Event]:
    """So many clicks, of one user each."""
    return [
        Event(
            event_id=f"{prefix}{k}",
            type="click",
            user_id=f"{prefix}-u{k}",
            item_id="i",
            ts_ms=T0_MS,
        )
        for k in range(n)
    ]


def test_what_was_aborted_counts_for_nothing(
    kafka_settings: Settings,
    worker: Callable[[Settings], Child],
    wait_until: Callable[..., None],
) -> None:
    """Events and items; an open transaction waits, and its end is the end of the log until then."""
    settings = kafka_settings
    partitions = discover_partitions(settings)
    one = Transactions(settings, partitions, f"{settings.namespace}-one")
    other = Transactions(settings, partitions, f"{settings.namespace}-other")
    one.begin(clicks("gone", 5), [Item(item_id="gone", title="Gone")])
    one.abort()
    one.begin(clicks("kept", 3), [Item(item_id="kept", title="Kept")])
    one.commit()
    other.begin(clicks("open", 4))  # ends later
    worker(settings)
    client = connect(settings)
    reader = StateReader(client, settings.namespace, partitions)
    with ProgressReader(settings, partitions) as progress, closing(client):
        wait_until(progress.drained, 60, "nothing seems to wait")
        applied = progress.read("users").total("applied")
        assert applied.sum() == 3
        assert reader.catalogue_ids() == {"kept"}
        assert not progress.read("catalog").lag.any()
        _ends_agree(settings, progress, partitions)

        other.commit()
        wait_until(lambda: progress.read("users").total("applied").sum() == 7, 30)
        one.begin(clicks("last", 2), [Item(item_id="last", title="Last")])
        one.abort()
        wait_until(progress.drained, 30, "markers at the end are no lag")
        assert progress.read("users").total("applied").sum() == 7
        assert reader.catalogue_ids() == {"kept"}
    with TopicLog(settings, Topics(settings.namespace).events, "test") as log:
        read = list(log.records(log.bounds(range(partitions))))
    assert len(read) == 7, "who trains or replays from Kafka reads the same"


def _ends_agree(settings: Settings, progress: ProgressReader, partitions: int) -> None:
    """Both that judge a lag look at what may be read."""
    topics = {"users": Topics(settings.namespace).events}
    found = LogEnds(settings, topics).read([("users", each) for each in range(partitions)])
    ends = progress.read("users").ends.tolist()
    assert [found["users", each] for each in range(partitions)] == ends
