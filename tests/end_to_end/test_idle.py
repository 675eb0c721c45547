"""When nothing happens: heartbeats go through, and who was idle for long is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest

from freshet.core.clock import system_clock
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from freshet.embedded.child import Child

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

TTL_S = 60


def test_an_idle_worker_beats_and_tidies(
    settings: Settings,
    worker: Callable[[Settings], Child],
    wait_until: Callable[..., None],
) -> None:
    """Each partition gets heartbeats, which count for nothing; lifetimes end by event time."""
    settings = msgspec.structs.replace(settings, heartbeat_s=0.2, user_ttl_s=TTL_S)
    partitions = discover_partitions(settings)
    users = [f"u{n}" for n in range(99) if partition_of(f"u{n}", partitions) == 0][:2]
    now_ms = system_clock()  # as the worker's: in a log of the past, nobody would be idle
    start_ms = now_ms - 1000 * (TTL_S + 1)
    with closing(EventProducer(settings.kafka_bootstrap)) as producer:
        for user, ts_ms in zip(users, (start_ms, now_ms), strict=True):
            event = Event(event_id=user, type="click", user_id=user, item_id="i", ts_ms=ts_ms)
            producer.send(Topics(settings.namespace).events, 0, encode(event), key=user.encode())
        producer.flush()
    worker(settings)
    client = connect(settings.redis_url)
    reader = StateReader(client, settings.namespace, partitions)
    with ProgressReader(settings, partitions) as progress:

        def beats() -> bool:
            found = progress.read("users")
            own = found.next - found.total("applied")
            return bool((own >= 3).all() and (found.total("heartbeat_ts_ms") > start_ms).all())

        wait_until(beats)
        wait_until(progress.drained)
        totals = progress.read("users")
        assert totals.total("applied").tolist() == [2, 0, 0, 0]
        assert not totals.total("rejected").any()
        assert totals.total("watermark_ts_ms").tolist()[1:] == [0, 0, 0]
        wait_until(lambda: reader.user(users[0]) is None)
        assert reader.user(users[1]) is not None
    client.close()
