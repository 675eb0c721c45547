"""Tests of freshet.embedded.redis_cluster."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import MovedError

from freshet.core.state.client import connect
from freshet.embedded.redis_cluster import SLOTS, RedisCluster

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster(durable=True) as cluster:
        yield cluster


def test_every_slot_has_one_owner(cluster: RedisCluster) -> None:
    """All three nodes tell the same."""
    views = []
    for node in cluster.nodes:
        with node.client as client:
            found: Any = client.execute_command("CLUSTER SLOTS")
        views.append({(first, last): owner[1] for first, last, owner, *_ in found})
    assert views[0] == views[1] == views[2]
    assert sum(last - first + 1 for first, last in views[0]) == SLOTS
    assert sorted(views[0].values()) == sorted(node.port for node in cluster.nodes)


def test_keys_of_all_nodes_are_written_and_read(cluster: RedisCluster) -> None:
    """And each node has a part of them, refusing the rest."""
    with connect(cluster.url, timeout_s=5.0) as client:
        for number in range(60):
            client.set(f"key-{number}", number)
        assert [int(client.get(f"key-{number}")) for number in range(60)] == list(range(60))
    for node in cluster.nodes:
        with node.client as alone:
            held = [number for number in range(60) if cluster.node_of(f"key-{number}") is node]
            assert sorted(alone.keys()) == sorted(f"key-{number}".encode() for number in held)
            assert 0 < len(held) < 60
            assert isinstance(_refusal(alone), MovedError)


def test_a_node_that_was_killed_comes_back_with_its_slots(cluster: RedisCluster) -> None:
    """At its address, with what it had; the others go on meanwhile."""
    with connect(cluster.url, timeout_s=5.0) as client:
        for number in range(60):
            client.set(f"key-{number}", number)
        dead, alive = cluster.nodes[0], cluster.nodes[1]
        dead.kill()
        with alive.client as other:
            assert other.dbsize()
        dead.start()
    with connect(cluster.url, timeout_s=5.0) as client:
        assert [int(client.get(f"key-{number}")) for number in range(60)] == list(range(60))


def _refusal(client: Any) -> redis.RedisError:
    """The first error that a node answers a key of another node with."""
    for number in range(60):
        try:
            client.get(f"key-{number}")
        except redis.RedisError as error:
            return error
    raise AssertionError("it holds every key")
