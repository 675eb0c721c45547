"""Tests of benchmarks.observer and benchmarks.event_latency."""

import numpy as np
import pytest
import redis

from benchmarks.event_latency import percentiles
from benchmarks.observer import Observer, Seen
from freshet.core.state.keys import Keys
from freshet.embedded.redis import RedisServer

USERS = np.array([[0, 5], [2, 5], [2, 6], [9, 6]])
ITEMS = np.zeros((4, 2, 2), np.int64)
ITEMS[2:, 1, 0] = 3  # item partition 1 has passed offset 2 of source 0 at the third look
SEEN = Seen(np.array([10.0, 10.002, 10.004, 10.010]), USERS, ITEMS)


def test_an_event_that_no_look_showed_is_never_readable() -> None:
    """It is NaN, and makes a percentile infinite."""
    readable = SEEN.users_readable_s(np.array([1]), np.array([6]))
    assert np.isnan(readable).all()
    assert percentiles("user", readable, np.array([True]))["user_p99_ms"] == np.inf


def test_an_event_is_readable_from_the_first_look_that_has_passed_it() -> None:
    """The position is the next offset: 2 means that 0 and 1 are in."""
    partition, offset = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 8, 4, 5])
    expected = [10.002, 10.002, 10.010, 10.010, 10.0, 10.004]
    assert SEEN.users_readable_s(partition, offset).tolist() == expected


def test_a_row_of_the_deltas_is_readable_by_its_own_source() -> None:
    """Another source of the same item partition says nothing of it."""
    item, source, offset = np.array([1, 1, 0]), np.array([0, 1, 0]), np.array([2, 0, 0])
    readable = SEEN.items_readable_s(item, source, offset)
    assert readable[0] == 10.004
    assert np.isnan(readable[1:]).all()


def test_the_resolution_is_the_time_between_looks() -> None:
    """Nearly the longest of them."""
    assert SEEN.resolution_ms == pytest.approx(6, rel=0.02)


def test_percentiles_are_of_what_is_counted() -> None:
    """Nothing of nothing; the higher of two neighbours, never one that was not measured."""
    latency_s = np.array([0.001, 0.003, 9.0])
    assert percentiles("user", latency_s, np.zeros(3, bool)) == {}
    found = percentiles("user", latency_s, np.array([True, True, False]))
    assert found == {"user_p50_ms": 1.0, "user_p99_ms": 3.0, "user_max_ms": 3.0}


@pytest.mark.services
def test_a_look_reads_the_positions_of_both_sides() -> None:
    """Nothing yet is 0; a source of an item partition has a place of its own."""
    keys = Keys("n")
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        observer = Observer(server.url, "n", 2, every_ms=1)
        assert observer.look().tolist() == [0] * 6
        client.hset(keys.user_position(1), "next", 7)
        client.hset(keys.item_position(1), "source:0", 5)
        with observer:
            assert observer.look().tolist() == [0, 7, 0, 0, 5, 0]
        seen = observer.seen()
    assert seen.users[-1].tolist() == [0, 7]
    assert seen.items[-1].tolist() == [[0, 0], [5, 0]]
