"""Damage of each sort in each key that the server reads: it costs what is damaged, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from redis.exceptions import ResponseError

from freshet.core.errors import ServiceError
from freshet.core.events.codec import encode
from freshet.core.events.control import user_hash
from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import CLICK, Item
from freshet.core.metrics import RECORDS_UNREADABLE
from freshet.core.state.client import AsyncClient, Client, connect, connect_async
from freshet.core.state.keys import Keys
from freshet.core.state.past import PAGE_DTYPE, page_field
from freshet.core.state.records import COVISIT_DTYPE, ITEM_DTYPE, unpack_items, unpack_users
from freshet.core.state.unwanted import UNWANTED_DTYPE
from freshet.embedded.redis import RedisServer
from serving.answer import Query
from serving.change_follower import ItemFollower, UserFollower
from serving.erasures import RedisErasures
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.moment import State
from serving.pipeline import recommend
from serving.session_follower import SessionFollower
from serving.source_weights import SourceWeights
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions
from serving.user_state import RedisUserStates
from streams.user_packing import pack_users

pytestmark = pytest.mark.services

KEYS: Final = Keys("test")
P: Final = 4
NOW_MS: Final = 1_763_800_000_000
USER, OTHER, ITEM = "ann", "eve", "item-1"
U, V = partition_of(USER, P), partition_of(ITEM, P)
USER_KEYS: Final = ("users", "past", "unwanted", "erased", "user_position", "user_changes")
ITEM_KEYS: Final = ("items", "covisits", "catalog")
NOT_READ: Final = (
    "outbox",
    "event_ids",
    "slates",
    "outcomes",
    "slate_position",
    "catalog_position",
    "item_position",
)
READ: Final = (*USER_KEYS, *ITEM_KEYS, "item_changes", "meta")


def key_of(name: str) -> str:
    """Return the key of the user's or of the item's partition."""
    found = getattr(KEYS, name)
    if isinstance(found, str):
        return found
    return str(found(V if name in ITEM_KEYS or name == "item_changes" else U))


def fields_of(name: str) -> list[Any]:
    """Return the fields of a HASH that the server reads for the user and the item."""
    item_hash = int(item_hashes([ITEM])[0])
    return {
        "past": [page_field(USER, 0)],
        "erased": [user_hash(USER)],
        "user_position": ["next"],
        "items": [ITEM],
        "covisits": [str(item_hash)],
        "catalog": [ITEM],
    }.get(name, [USER])


def _random(size: int, first: bytes = b"") -> bytes:
    return (first + np.random.default_rng(size).bytes(size))[:size]


def _put(value: bytes) -> Callable[[Client, str], None]:
    def damage(client: Any, name: str) -> None:
        if name.endswith("changes"):
            for field in ("users", "erased", "items", "covisits", "catalog"):
                client.xadd(key_of(name), {field: value})
        for field in fields_of(name):
            if not name.endswith("changes"):
                client.hset(key_of(name), field, value)

    return damage


def _wrong_type(client: Any, name: str) -> None:
    client.delete(key_of(name))
    client.set(key_of(name), "x")


def _strange_field(client: Any, name: str) -> None:
    """A field that is no text, and an entry that lacks what it should have."""
    if name.endswith("changes"):
        client.xadd(key_of(name), {b"\xff\xfe": b"\xff"})
    else:
        client.hset(key_of(name), b"\xff\xfe", b"\xff")


DAMAGES: Final = {
    "empty": _put(b""),
    "3 bytes": _put(b"abc"),
    "random": _put(_random(700)),
    "random behind the layout of a user": _put(_random(468, b"\3")),
    "random in the size of an item": _put(_random(ITEM_DTYPE.itemsize, b"\3")),
    "not a number": _put(np.full(50, np.nan, "<f4").tobytes()),
    "negative": _put(b"-5"),
    "ids of another kind": _put(msgspec.msgpack.encode([-1, "a", None, 2**40])),
    "a string": _wrong_type,
    "a strange field": _strange_field,
}


@pytest.fixture(scope="module")
def one_redis() -> Iterator[RedisServer]:
    """One Redis for all sorts of damage."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def written(one_redis: RedisServer) -> Iterator[Client]:
    """The state of two users and five items, as the folds would write it."""
    with connect(one_redis.url) as client:
        redis: Any = client
        redis.flushall()
        for user_id in (USER, OTHER):
            partition = partition_of(user_id, P)
            users = unpack_users([None])
            users["type_counts"][0, CLICK] = 60
            users["history"]["code"] = CLICK << 12
            users["last_ts_ms"] = NOW_MS
            redis.hset(KEYS.users(partition), user_id, pack_users(users).joined)
            page = bytes(PAGE_DTYPE.itemsize)
            redis.hset(KEYS.past(partition), page_field(user_id, 0), page)
            redis.hset(KEYS.unwanted(partition), user_id, np.zeros(1, UNWANTED_DTYPE).tobytes())
        for number in range(5):
            item_id = f"item-{number}"
            partition = partition_of(item_id, P)
            items = unpack_items([None])
            items["first_ts_ms"] = items["last_ts_ms"] = NOW_MS
            rows = np.ones(2, COVISIT_DTYPE).tobytes()
            redis.hset(KEYS.items(partition), item_id, items.tobytes())
            redis.hset(KEYS.covisits(partition), str(item_hashes([item_id])[0]), rows)
            redis.hset(KEYS.catalog(partition), item_id, encode(Item(item_id=item_id)))
        yield client


class _Server:
    """What a server is made of, without HTTP."""

    def __init__(self, redis: AsyncClient, state: State) -> None:
        self.items = ItemState(ItemTable(), lambda: NOW_MS)
        self.users = RedisUserStates(redis, KEYS, P)
        self.erasures = RedisErasures(redis, KEYS)
        self.sources = SourceWeights(lambda: NOW_MS)
        self.known = UserSessions(self.items.table)
        self.sessions = SessionFollower(redis, KEYS, P, self.items, self.known, self.sources)
        self.notices = UserNotices()
        self.item_follower = ItemFollower(redis, KEYS, P, self.items)
        self.user_follower = UserFollower(
            redis, KEYS, P, (self.notices, self.sessions), (self.users, self.sessions)
        )
        state.live.current = None
        self.state = State(
            state.settings, self.users, self.items, state.live, self.notices, self.known,
            self.sources,
        )  # fmt: skip

    async def start(self) -> None:
        """Load what there is, as at a start."""
        await self.item_follower.load("start")
        await self.sessions.load()
        await self.user_follower.start()

    async def follow(self) -> None:
        """Take in what changed; a follower that Redis ends starts again."""
        for follower, again in (
            (self.item_follower, lambda: self.item_follower.load("reconnect")),
            (self.user_follower, self.user_follower.start),
        ):
            try:
                await follower.tick()
            except ResponseError:
                await again()
        self.sessions.notify([USER, OTHER])
        await self.sessions.read_changed()

    async def degraded(self, user_id: str) -> list[str]:
        """Return what is missing in an answer, which holds something in any case."""
        rng = np.random.default_rng(0)
        served = await recommend(self.state, Query(user=user_id, k=5), "r", rng)
        assert served.answer.items
        return [word for word in served.answer.degraded if word != "model"]


def unreadable() -> float:
    """Return how many damaged records were met."""
    return sum(
        sample.value
        for metric in RECORDS_UNREADABLE.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def test_every_key_is_damaged_or_never_read_by_the_server() -> None:
    """A new key must be in one of the two lists."""
    assert {*READ, *NOT_READ} == {name for name in vars(Keys) if not name.startswith("_")} - {
        "namespace"
    }


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("when", ["before the start", "after it"])
async def test_damage_costs_what_is_damaged(
    name: str, damage: str, when: str, written: Client, one_redis: RedisServer, state: State,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The server starts, follows, answers everyone, and everyone else as if nothing were."""
    monkeypatch.setattr("serving.change_follower.BLOCK_MS", 1)
    monkeypatch.setattr("serving.change_follower.RETRY_S", 0)
    async with connect_async(one_redis.url, timeout_s=5.0) as redis:
        server = _Server(redis, state)
        if when == "after it":
            await server.start()
        met = unreadable()
        DAMAGES[damage](written, name)
        if when == "before the start":
            await server.start()
        await server.follow()
        assert await server.degraded(OTHER) in ([], ["item_state"])
        assert await server.degraded(USER) in ([], ["user_state"], ["item_state"])
        try:
            await server.erasures.get(U, user_hash(USER))
        except ServiceError:
            assert name in ("erased", "user_position")
        if name == "users" and damage not in ("a strange field",):
            assert await server.degraded(USER) == ["user_state"]
            assert unreadable() > met
        if name == "items" and damage == "3 bytes" and when == "before the start":
            assert unreadable() > met
