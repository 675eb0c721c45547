"""The topics are read whole, as Kafka has them."""

from __future__ import annotations

from contextlib import closing

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from replay.chaos.audit import logs as module
from replay.chaos.audit.logs import batch_of, read_logs, read_topic


@pytest.mark.services
def test_all_records_are_read_in_their_order(settings: Settings) -> None:
    """With keys, headers and values, None among them; and an empty topic is empty."""
    partitions, topics = discover_partitions(settings), Topics(settings.namespace)
    with closing(EventProducer(settings)) as producer:
        producer.send(topics.events, 1, b"a", key=b"k", headers=[("h", b"x")])
        producer.send(topics.events, 1, None)
        producer.send(topics.catalog, 0, b"c")
        producer.flush()
    found = read_logs(settings, partitions)
    first, second = found.events.records[1]
    assert (first.offset, first.key, first.value, first.headers) == (0, b"k", b"a", {"h": b"x"})
    assert (second.offset, second.value) == (1, None)
    assert found.events.ends.tolist() == [0, 2, 0, 0]
    assert [record.value for record in found.catalog.records[0]] == [b"c"]
    assert found.slates.ends.sum() == found.examples.ends.sum() == 0
    batch = batch_of("t", 1, found.events.records[1])
    assert (batch.start, batch.end, list(batch.values)) == (0, 2, [b"a", None])
    assert batch.ts_ms[0] == first.ts_ms > 0


def test_a_log_that_dropped_records_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, with what to do."""

    class Consumer:
        def __init__(self, _options: object) -> None:
            pass

        def get_watermark_offsets(self, _place: object, timeout: float) -> tuple[int, int]:
            del timeout
            return 3, 9

        def close(self) -> None:
            pass

    monkeypatch.setattr(module, "Consumer", Consumer)
    with pytest.raises(ServiceError, match="dropped records"):
        read_topic(Settings(), "t", 2)
