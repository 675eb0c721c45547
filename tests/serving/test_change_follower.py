"""Following a real Redis: loading, changes, conflation, gaps, and its restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from freshet.core.events.codec import encode
from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import Item
from freshet.core.metrics import FOLLOWER_RELOADS
from freshet.core.state.client import AsyncClient
from freshet.core.state.keys import CHANGES_KEPT, Keys
from freshet.core.state.records import unpack_items
from serving import change_follower
from serving.change_follower import ChangeStreams, ItemFollower, UserFollower
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.user_notices import UserNotices
from serving.user_state import RedisUserStates

from .conftest import until

pytestmark = pytest.mark.services

KEYS = Keys("test")
P = 4
NOW_MS = 1_763_800_000_000


class Writer:
    """Writes what the folds would write."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def record(self, item_id: str, clicks: int, *, tell: bool = True) -> None:
        partition = partition_of(item_id, P)
        records = unpack_items([None])
        records["last_ts_ms"] = NOW_MS
        records["people"] = clicks
        await self.client.hset(KEYS.items(partition), item_id, records.tobytes())
        if tell:
            await self.tell(partition, "items", [item_id])

    async def offer(self, item: Item, *, tell: bool = True) -> None:
        partition = partition_of(item.item_id, P)
        await self.client.hset(KEYS.catalog(partition), item.item_id, encode(item))
        if tell:
            await self.tell(partition, "catalog", [item.item_id])

    async def withdraw(self, item_id: str) -> None:
        partition = partition_of(item_id, P)
        await self.client.hdel(KEYS.catalog(partition), item_id)
        await self.tell(partition, "catalog", [item_id])

    async def covisits(self, item_id: str, blob: bytes) -> None:
        partition = partition_of(item_id, P)
        (value,) = item_hashes([item_id]).tolist()
        await self.client.hset(KEYS.covisits(partition), str(value), blob)
        await self.tell(partition, "covisits", [value])

    async def tell(self, partition: int, what: str, ids: list[Any]) -> None:
        await self.client.xadd(KEYS.item_changes(partition), {what: msgspec.msgpack.encode(ids)})


@pytest.fixture
def writer(redis_client: AsyncClient) -> Writer:
    """Writes what the folds would write."""
    return Writer(redis_client)


@pytest.fixture
def empty_items() -> ItemState:
    """An item state that nothing was loaded into."""
    return ItemState(ItemTable(), lambda: NOW_MS)


@pytest.fixture
def follower(redis_client: AsyncClient, empty_items: ItemState) -> ItemFollower:
    """Follows the test's Redis."""
    return ItemFollower(redis_client, KEYS, P, empty_items)


def reloads(reason: str) -> float:
    return float(FOLLOWER_RELOADS.labels(reason)._value.get())


async def test_an_empty_redis_is_an_empty_table(
    follower: ItemFollower, empty_items: ItemState
) -> None:
    """Loaded, following, nothing known."""
    await follower.load("start")
    assert empty_items.following
    assert empty_items.table.size == 0


async def test_everything_is_loaded_at_the_start(
    follower: ItemFollower, empty_items: ItemState, writer: Writer, covisits: Any
) -> None:
    """Records, transitions and offers of all partitions, and the standings with them."""
    for number in range(40):
        await writer.offer(Item(item_id=f"i{number}", title=f"T{number}"), tell=False)
        await writer.record(f"i{number}", clicks=number, tell=False)
    await writer.covisits("i1", covisits("i2"))
    await follower.load("start")
    table = empty_items.table
    assert table.offered_ids() == {f"i{number}" for number in range(40)}
    assert table.interactions[table.row("i7")] == 7
    assert table.transitions(table.row("i1"), NOW_MS, 3600)[0].tolist() == [table.row("i2")]
    assert len(empty_items.standings.popular.rows) == 40


async def test_changes_arrive_with_the_next_tick(
    follower: ItemFollower, empty_items: ItemState, writer: Writer, covisits: Any
) -> None:
    """A new item, its counts, its transitions, and its end."""
    await follower.load("start")
    table = empty_items.table
    await writer.offer(Item(item_id="a", title="A"))
    await follower.tick()
    assert table.offers("a")
    assert empty_items.standings.popular.rows.tolist() == [table.row("a")]
    await writer.record("a", clicks=3)
    await writer.record("b", clicks=4)
    await writer.covisits("a", covisits("b"))
    while not table.interactions[table.row("a")] or table.row("b") < 0:
        await follower.tick()
    while not len(table.transitions(table.row("a"), NOW_MS, 3600)[0]):
        await follower.tick()
    assert not table.offers("b")
    await writer.withdraw("a")
    await follower.tick()
    assert not table.offers("a")


async def test_a_hot_item_is_fetched_once_a_tick(
    follower: ItemFollower, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred changes are one record, the newest."""
    await follower.load("start")
    for clicks in range(1, 101):
        await writer.record("hot", clicks=clicks)
    taken: list[tuple[list[str], int]] = []
    put = follower._put_records
    monkeypatch.setattr(
        follower,
        "_put_records",
        lambda key, ids, blobs: (taken.append((ids, len(blobs))), put(key, ids, blobs)),
    )
    await follower.tick()
    assert taken == [(["hot"], 1)]
    assert follower._table.interactions[follower._table.row("hot")] == 100


async def test_a_gap_loads_everything_again(
    follower: ItemFollower, empty_items: ItemState, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many entries as a stream keeps may be fewer than there were."""
    monkeypatch.setattr(change_follower, "CHANGES_KEPT", 10)
    await writer.offer(Item(item_id="gone"), tell=False)
    await follower.load("start")
    before = reloads("gap")
    await writer.client.hdel(KEYS.catalog(partition_of("gone", P)), "gone")
    await writer.record("untold", clicks=9, tell=False)
    for _ in range(10):
        await writer.tell(0, "items", ["told"])
    await follower.tick()
    assert reloads("gap") == before + 1
    table = empty_items.table
    assert table.interactions[table.row("untold")] == 9
    assert not table.offers("gone")


async def test_what_changes_while_loading_is_read_again(
    redis_client: AsyncClient, writer: Writer
) -> None:
    """The position is taken before the records are."""
    await writer.record("a", clicks=1)
    streams = ChangeStreams(redis_client, [KEYS.item_changes(p) for p in range(P)])
    await streams.start()
    await writer.record("a", clicks=2)
    entries, missed = await streams.read()
    assert [msgspec.msgpack.decode(entry[b"items"]) for entry in entries] == [["a"]]
    assert not missed


async def test_a_restart_of_redis_is_survived(
    follower: ItemFollower,
    empty_items: ItemState,
    writer: Writer,
    redis_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not following meanwhile, and everything loaded again afterwards."""
    monkeypatch.setattr(change_follower, "RETRY_S", 0.01)
    await writer.offer(Item(item_id="a"))
    following = asyncio.create_task(follower.run())
    await until(lambda: empty_items.table.offers("a"))
    redis_server.kill()
    await until(lambda: not empty_items.following)
    assert empty_items.table.offers("a")
    redis_server.start()
    await until(lambda: empty_items.following)
    assert not empty_items.table.offers("a")
    await writer.offer(Item(item_id="b"))
    await until(lambda: empty_items.table.offers("b"))
    following.cancel()


async def test_a_change_of_a_user_wakes_who_waits_for_it(
    redis_client: AsyncClient,
) -> None:
    """Through the stream of the user's partition."""
    notices = UserNotices()
    users = RedisUserStates(redis_client, KEYS, P)
    following = asyncio.create_task(UserFollower(redis_client, KEYS, P, [notices], [users]).run())
    with notices.subscribe("ann") as changed, notices.subscribe("bob") as other:
        await changed.wait()  # everyone is woken when following begins
        changed.clear()
        other.clear()
        await redis_client.xadd(
            KEYS.user_changes(partition_of("ann", P)),
            {"users": msgspec.msgpack.encode(["ann", "carl"])},
        )
        await changed.wait()
        assert not other.is_set()
    following.cancel()


async def test_who_was_erased_is_forgotten_and_all_are_when_that_may_have_been_missed(
    redis_client: AsyncClient,
) -> None:
    """What this process remembers of people outlives a dead Redis, but not an erasure."""
    notices = UserNotices()
    users = RedisUserStates(redis_client, KEYS, P)
    following = asyncio.create_task(UserFollower(redis_client, KEYS, P, [notices], [users]).run())
    key = KEYS.user_changes(partition_of("ann", P))
    with notices.subscribe("ann") as changed:
        await changed.wait()
        for name in ("ann", "bob"):
            await users.get(name)
        changed.clear()
        told = msgspec.msgpack.encode(["ann"])
        await redis_client.xadd(key, {"users": told, "erased": told})
        await changed.wait()
        assert users.remembered("ann") is None
        assert users.remembered("bob") is not None
        many = redis_client.pipeline(transaction=True)  # at once: so that one read has them all
        for _ in range(CHANGES_KEPT + 1):
            many.xadd(key, {"users": msgspec.msgpack.encode(["carl"])})
        changed.clear()
        await many.execute()
        await until(lambda: users.remembered("bob") is None)
        await changed.wait()  # whose change was missed is not known: everyone is woken
    following.cancel()


async def test_who_was_away_for_minutes_may_have_missed_entries(
    redis_client: AsyncClient, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They expire; the next read says so once."""
    monkeypatch.setattr(change_follower, "BLOCK_MS", 1)
    now_ms = [NOW_MS]
    streams = ChangeStreams(redis_client, [KEYS.item_changes(0)], lambda: now_ms[0])
    await streams.start()
    found = []
    for step_ms in (1_000, 299_000, 301_000, 1_000):
        now_ms[0] += step_ms
        found.append((await streams.read())[1])
    assert found == [False, False, True, False]
