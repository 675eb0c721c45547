"""How far the folds have come, read from a real broker and a real Redis."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.progress import FoldProgress, ProgressReader, require_same_log, require_whole
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys
from freshet.embedded.redis import RedisServer


def _progress(next_: int, *, start: int, end: int) -> FoldProgress:
    fields = {"next": next_} if next_ else {}
    return FoldProgress([fields], np.array([start]), np.array([end]))


@pytest.mark.parametrize(
    ("next_", "start", "end", "lag", "lost", "ahead"),
    [(0, 0, 0, 0, 0, 0), (0, 0, 5, 5, 0, 0), (3, 0, 5, 2, 0, 0), (5, 0, 5, 0, 0, 0),
     (5, 5, 5, 0, 0, 0), (0, 2, 5, 3, 2, 0), (3, 4, 5, 1, 1, 0), (7, 0, 5, 0, 0, 2)],
)  # fmt: skip
def test_lag_and_loss_follow_from_position_and_log(
    next_: int, start: int, end: int, lag: int, lost: int, ahead: int
) -> None:
    """What the log dropped is lost, not lag; a log of another topic has no negative lag."""
    progress = _progress(next_, start=start, end=end)
    found = progress.lag.tolist(), progress.lost.tolist(), progress.ahead.tolist()
    assert found == ([lag], [lost], [ahead])


def test_a_hole_is_an_error_and_a_whole_log_is_none() -> None:
    """The sentence says where."""
    require_whole("users", _progress(3, start=3, end=5))
    with pytest.raises(ServiceError, match="the users fold lost records: partition 0 begins at"):
        require_whole("users", _progress(2, start=3, end=5))


def test_a_state_of_another_log_is_an_error() -> None:
    """It would look drained for ever."""
    with pytest.raises(ServiceError, match="another log: partition 0 ends at offset 5"):
        require_same_log("items", _progress(6, start=0, end=5))
    require_same_log("items", _progress(5, start=0, end=5))


class Moving(ProgressReader):
    """A reader of one partition that moves between two looks, as positions and ends are read."""

    def __init__(self, positions: list[int], bounds: list[tuple[int, int]]) -> None:
        self.partitions = 1
        self._topic = {"users": "events"}
        self._next, self._found = positions, bounds
        self._looked = {}
        self.asked: list[tuple[int, int]] = []
        self.records = True

    def _has_record(self, _topic: str, _partition: int, start: int, end: int) -> bool:
        self.asked.append((start, end))
        return self.records

    def positions(self, _fold: str) -> list[Mapping[str, int]]:
        return [{"next": self._next.pop(0)}]

    def _bounds(self, _topic: str, _partition: int) -> tuple[int, int]:
        return self._found.pop(0)


def test_markers_of_transactions_are_no_lag() -> None:
    """Who stands before them is looked at once, and again when the log has grown."""
    reader = Moving([3] * 4, [(0, 8)] * 3 + [(0, 9)])
    reader.records = False
    assert [reader.read("users").lag.tolist() for _ in range(3)] == [[0]] * 3
    assert reader.asked == [(3, 8)]
    reader.records = True
    assert reader.read("users").lag.tolist() == [6]
    assert reader.asked == [(3, 8), (3, 9)]


def test_a_fold_that_moves_is_not_asked_for() -> None:
    """A pacer reads many times a second; one that stands still behind a record is asked once."""
    reader = Moving([3, 4, 5, 6, 6, 6], [(0, 8)] * 6)
    assert [reader.read("users").lag.tolist() for _ in range(6)] == [[5], [4], [3], [2], [2], [2]]
    assert reader.asked == [(3, 8), (6, 8)]


def test_what_was_applied_before_the_log_dropped_it_is_not_lost() -> None:
    """The fold went on between the two looks, and retention behind it."""
    progress = Moving([3, 9], [(6, 9), (8, 12)]).read("users")
    assert (progress.lost.tolist(), progress.lag.tolist()) == ([0], [3])


def test_what_was_lost_is_lost_at_the_second_look_too() -> None:
    """The position has not moved."""
    assert Moving([3, 3], [(6, 9), (6, 9)]).read("users").lost.tolist() == [3]


def test_an_end_that_was_stale_is_no_other_log() -> None:
    """Both are read again before a position is called ahead of its log."""
    assert Moving([9, 10], [(0, 8), (0, 12)]).read("users").ahead.tolist() == [0]
    assert Moving([9, 9], [(0, 8), (0, 8)]).read("users").ahead.tolist() == [1]


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
