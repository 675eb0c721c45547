"""How far the folds have come, read from a real broker and a real Redis."""

from collections.abc import Iterator

import numpy as np
import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.progress import FoldProgress, ProgressReader, require_whole
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys
from freshet.embedded.redis import RedisServer


def _progress(next_: int, *, start: int, end: int) -> FoldProgress:
    fields = {"next": next_} if next_ else {}
    return FoldProgress([fields], np.array([start]), np.array([end]))


@pytest.mark.parametrize(
    ("next_", "start", "end", "lag", "lost"),
    [(0, 0, 0, 0, 0), (0, 0, 5, 5, 0), (3, 0, 5, 2, 0), (5, 0, 5, 0, 0), (5, 5, 5, 0, 0),
     (0, 2, 5, 3, 2), (3, 4, 5, 1, 1), (7, 0, 5, 0, 0)],
)  # fmt: skip
def test_lag_and_loss_follow_from_position_and_log(
    next_: int, start: int, end: int, lag: int, lost: int
) -> None:
    """What the log dropped is lost, not lag; a log that was made anew has no negative lag."""
    progress = _progress(next_, start=start, end=end)
    assert (progress.lag.tolist(), progress.lost.tolist()) == ([lag], [lost])


def test_a_hole_is_an_error_and_a_whole_log_is_none() -> None:
    """The sentence says where."""
    require_whole("users", _progress(3, start=3, end=5))
    with pytest.raises(ServiceError, match="the users fold lost records: partition 0 begins at"):
        require_whole("users", _progress(2, start=3, end=5))


@pytest.fixture
def reader(settings: Settings) -> Iterator[ProgressReader]:
    """A reader of an empty installation."""
    with ProgressReader(settings, discover_partitions(settings)) as reader:
        yield reader


@pytest.mark.services
def test_an_empty_installation_is_drained(reader: ProgressReader) -> None:
    """Nothing to do is done."""
    assert reader.drained()


@pytest.mark.services
def test_a_record_is_lag_until_the_position_says_it_is_applied(
    settings: Settings, reader: ProgressReader
) -> None:
    """Partition by partition."""
    producer = EventProducer(settings.kafka_bootstrap)
    producer.send(Topics(settings.namespace).events, 2, b"x")
    producer.flush()
    producer.close()
    assert reader.read("users").lag.tolist() == [0, 0, 1, 0]
    assert not reader.drained()
    with connect(settings.redis_url) as client:
        client.hset(Keys(settings.namespace).user_position(2), "next", 1)
    assert reader.drained()
    assert reader.read("users").next.tolist() == [0, 0, 1, 0]


@pytest.mark.services
def test_an_outbox_that_is_not_empty_is_not_drained(
    settings: Settings, reader: ProgressReader
) -> None:
    """Its records are on their way into a log, though no log has a lag."""
    with connect(settings.redis_url) as client:
        client.hset(Keys(settings.namespace).outbox(3), "9", b"x")
        assert not reader.read("users").lag.any()
        assert not reader.drained()
        client.hdel(Keys(settings.namespace).outbox(3), "9")
    assert reader.drained()


@pytest.mark.services
def test_a_dead_redis_is_a_service_error(redis_server: RedisServer, reader: ProgressReader) -> None:
    """Not one of the client library's."""
    redis_server.kill()
    with pytest.raises(ServiceError, match="redis"):
        reader.read("users")
