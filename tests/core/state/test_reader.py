"""The hash of the state sees every difference that matters, and none that does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.control import user_hash
from freshet.core.events.examples import OUTCOME_DTYPE
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import CLICK
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys
from freshet.core.state.reader import SECTIONS, StateReader, state_digest, state_hash
from freshet.core.state.records import (
    COVISIT_DTYPE,
    unpack_items,
    unpack_users,
)
from freshet.embedded.redis import RedisServer
from streams.user_packing import pack_users

pytestmark = pytest.mark.services

PARTITIONS = 2
KEYS = Keys("n")


@pytest.fixture
def client(redis_server: RedisServer) -> Any:
    client = connect(redis_server.url)
    user, item = unpack_users([None]), unpack_items([None])
    user["type_counts"][0, CLICK], item["clicks"] = 3, 2
    client.hset(KEYS.users(partition_of("ann", PARTITIONS)), "ann", pack_users(user).joined)
    client.hset(KEYS.items(partition_of("cup", PARTITIONS)), "cup", item.tobytes())
    client.hset(KEYS.covisits(0), "77", transitions(range(3)))
    client.hset(KEYS.user_position(0), mapping={"next": 5, "applied": 3})
    client.hset(KEYS.item_position(0), mapping={"next": 9, "applied": 3, "source:0": 5})
    client.hset(KEYS.catalog(1), "cup", b"{}")
    return client


def transitions(order: object) -> bytes:
    rows = np.zeros(3, COVISIT_DTYPE)
    rows["next"] = list(order)  # type: ignore[call-overload]
    return rows.tobytes()


def outcomes(ts_ms: int, offset: int = 0) -> bytes:
    row = np.zeros(1, OUTCOME_DTYPE)
    row["offset"], row["ts_ms"] = offset, ts_ms
    return row.tobytes()


def test_records_are_read_back(client: Any) -> None:
    """By id, and None for whom nobody knows."""
    reader = StateReader(client, "n", PARTITIONS)
    user, item = reader.user("ann"), reader.item("cup")
    assert user is not None
    assert item is not None
    assert user["type_counts"][CLICK] == 3
    assert item["clicks"].tolist() == [2, 2, 2, 2]
    assert reader.user("bob") is None
    assert reader.item("mug") is None
    assert reader.users()[0] == ["ann"]
    assert reader.items()[0] == ["cup"]
    assert reader.catalogue_ids() == {"cup"}
    assert reader.user_positions() == [{"next": 5, "applied": 3}, {}]
    assert reader.catalog_positions() == reader.slate_positions() == [{}, {}]
    client.hset(KEYS.erased(partition_of("bob", PARTITIONS)), user_hash("bob"), 8)
    assert (reader.erased("bob"), reader.erased("ann")) == (8, None)


@pytest.mark.parametrize(
    ("section", "key", "field", "value"),
    [
        ("user_positions", KEYS.user_position(0), "applied", 6),
        ("user_positions", KEYS.user_position(0), "late", 1),
        ("erased", KEYS.erased(1), "a hash", 5),
        ("event_ids", KEYS.event_ids(1), "a0", b"x"),
        ("user_positions", KEYS.user_position(1), "impressions", 1),
        ("items", KEYS.items(0), "mug", b"x"),
        ("unwanted", KEYS.unwanted(1), "ann", bytes(9)),
        ("past", KEYS.past(1), "0:ann", bytes(200)),
        ("covisits", KEYS.covisits(0), "77", transitions([0, 1, 9])),
        ("item_positions", KEYS.item_position(0), "source:0", 6),
        ("catalog", KEYS.catalog(1), "cup", b"{ }"),
        ("slates", KEYS.slates(0), "r", b"an answer"),
        ("outcomes", KEYS.outcomes(1), "r", outcomes(5)),
        ("slate_positions", KEYS.slate_position(1), "watermark_ts_ms", 8),
    ],
)
def test_one_difference_changes_one_section(
    client: Any, section: str, key: str, field: str, value: object
) -> None:
    """So that a difference can be found."""
    before, hash_before = state_digest(client, "n", PARTITIONS), state_hash(client, "n", PARTITIONS)
    client.hset(key, field, value)  # type: ignore[arg-type]
    after = state_digest(client, "n", PARTITIONS)
    assert {name for name in SECTIONS if before[name] != after[name]} == {section}
    assert state_hash(client, "n", PARTITIONS) != hash_before


def test_a_changed_user_changes_the_hash(client: Any) -> None:
    """Also one that has done nothing."""
    before = state_digest(client, "n", PARTITIONS)["users"]
    partition = partition_of("bob", PARTITIONS)
    client.hset(KEYS.users(partition), "bob", pack_users(unpack_users([None])).joined)
    assert state_digest(client, "n", PARTITIONS)["users"] != before


def test_what_depends_on_the_batches_does_not_count(client: Any) -> None:
    """The changes streams, offsets, heartbeats, repeats of deltas, the order in a sample."""
    client.hset(KEYS.outcomes(0), "r", outcomes(5, offset=4))
    before = state_hash(client, "n", PARTITIONS)
    client.xadd(KEYS.item_changes(0), {"items": b""})
    client.hset(KEYS.item_position(0), mapping={"next": 99, "duplicates": 7})
    client.hset(KEYS.user_position(0), mapping={"next": 77, "heartbeat_ts_ms": 9})
    client.hset(KEYS.covisits(0), "77", transitions([2, 0, 1]))
    client.hset(KEYS.outcomes(0), "r", outcomes(5, offset=99))
    client.hset(KEYS.slate_position(0), mapping={"next": 9, "passed": 8, "complete": 7})
    assert state_hash(client, "n", PARTITIONS) == before


def test_namespaces_do_not_mix(client: Any) -> None:
    """Another installation's state is none of ours."""
    before = state_hash(client, "n", PARTITIONS)
    client.hset(Keys("nn").items(0), "x", b"y")
    assert state_hash(client, "n", PARTITIONS) == before
