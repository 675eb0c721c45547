"""Histories and pasts are compared with the log, in its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import CLICK
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys
from freshet.core.state.past import page_field
from freshet.core.state.reader import StateReader
from freshet.core.state.records import HISTORY_LENGTH, unpack_users
from freshet.embedded.redis import RedisServer
from replay.chaos.sequences import wrong_sequences
from replay.chaos.user_truth import Interaction, UserTruth
from streams.user_packing import pack_users

pytestmark = pytest.mark.services

PARTITIONS = 2
KEYS = Keys("n")
ITEMS = [f"i{number}" for number in range(2 * HISTORY_LENGTH + 7)]


@pytest.fixture
def client(redis_server: RedisServer) -> Any:
    """Ann has acted on everything, Bob on two items, and Carl has been shown something."""
    client = connect(redis_server.url)
    for user_id, items in (("ann", ITEMS), ("bob", ITEMS[:2]), ("carl", [])):
        partition, user = partition_of(user_id, PARTITIONS), unpack_users([None])
        user["type_counts"][0, CLICK] = len(items)
        for number, hashed in enumerate(np.asarray(item_hashes(items)).tolist()):
            user["history"]["item"][0, number % HISTORY_LENGTH] = hashed
        client.hset(KEYS.users(partition), user_id, pack_users(user).joined)
    for page in range(2):
        some = np.asarray(item_hashes(ITEMS[50 * page : 50 * page + 50]), "<u4")
        field = page_field("ann", page)
        client.hset(KEYS.past(partition_of("ann", PARTITIONS)), field, some.tobytes())
    return client


def wrong(client: Any, **acted: list[str]) -> int:
    log = {"ann": ITEMS, "bob": ITEMS[:2]} | acted
    users = {
        name: UserTruth(0, acted=[Interaction(item, CLICK, 0) for item in items])
        for name, items in log.items()
    }
    return wrong_sequences(StateReader(client, "n", PARTITIONS), users)


def test_a_state_that_tells_the_log_is_right(client: Any) -> None:
    """Of who has a past, who has none, and who has only been shown something."""
    assert wrong(client) == 0


def test_what_is_missing_or_in_another_order_is_wrong(client: Any) -> None:
    """In the history, in the past, or a person altogether."""
    assert wrong(client, bob=ITEMS[1::-1]) == 1
    assert wrong(client, ann=[*ITEMS[1::-1], *ITEMS[2:]]) == 1
    assert wrong(client, carl=["i1"], dora=["i1"]) == 2
    client.hdel(KEYS.past(partition_of("ann", PARTITIONS)), page_field("ann", 1))
    assert wrong(client) == 1
