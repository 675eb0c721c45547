"""An installation in memory: a real table, a real tiny bundle, users and Kafka as twins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from litestar.testing import TestClient

from freshet.core.errors import ServiceError
from freshet.core.events.codec import decode_event, event_hash
from freshet.core.events.partition import item_hashes
from freshet.core.events.producer import Placed, Record
from freshet.core.events.schema import PREFERENCE, REJECTION, TAKES_BACK, TYPE_CODES, Item
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.client import AsyncClient, connect_async
from freshet.core.state.records import (
    COVISIT_DTYPE,
    GAPS_S,
    HISTORY_LENGTH,
    RECENT_EVENT_IDS,
    applied_events,
    interactions,
    unpack_items,
    unpack_users,
)
from freshet.core.state.unwanted import UNWANTED_DTYPE
from online_models.artifacts.check import load_bundle
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from serving.answer_log import AnswerLog
from serving.erasures import ErasureState
from serving.http.app import create_app
from serving.http.services import Services
from serving.item_state import ItemState
from serving.item_table import ItemTable
from serving.kafka_watch import KafkaWatch
from serving.live_bundle import BoundBundle, LiveBundle
from serving.moment import State
from serving.remains import Retention
from serving.source_weights import SourceWeights
from serving.user_notices import UserNotices
from serving.user_sessions import UserSessions
from serving.user_state import UserState, cold_user

NOW_MS = 1_763_800_000_000
N_ITEMS = 80
CREATED_TS_MS = NOW_MS - 100 * 86_400_000


class MemoryUsers:
    """Users in a dict; reading fails while `down`."""

    def __init__(self) -> None:
        self.records: dict[str, np.void] = {}
        self.items: dict[str, list[str]] = {}  # of all interactions
        self.unwanted: dict[str, dict[str, tuple[int, int]]] = {}  # item: second, type
        self.down = False
        self.memory: dict[str, UserState] = {}

    async def get(self, user_id: str) -> UserState:
        """Return the state of a user, as Redis would."""
        if self.down:
            raise ServiceError("redis", "down")
        if user_id not in self.records:
            return cold_user()
        items = self.items[user_id]
        past = items[: (len(items) - 1) // HISTORY_LENGTH * HISTORY_LENGTH]
        past = [item_id for item_id in past if item_id]
        unwanted = self.unwanted.get(user_id, {})
        rejected = np.zeros(len(unwanted), UNWANTED_DTYPE)
        rejected["item"] = item_hashes(list(unwanted))
        for row, (ts_s, kind) in zip(rejected, unwanted.values(), strict=True):
            row["ts_s"], row["type"] = ts_s, kind
        self.memory[user_id] = UserState(
            self.records[user_id].copy(), item_hashes(past)[::-1], rejected[::-1]
        )
        return self.memory[user_id]

    def remembered(self, user_id: str) -> UserState | None:
        """Return the state as last read."""
        return self.memory.get(user_id)

    def act(
        self, user_id: str, item_id: str, kind: str = "click", event_id: str = "", ts_ms: int = 0
    ) -> None:
        """Fold one event, slowly and obviously."""
        if user_id not in self.records:
            self.records[user_id] = unpack_users([None])[0]
            self.items[user_id] = []
        user = self.records[user_id]
        user["recent_events"][int(applied_events(user)) % RECENT_EVENT_IDS] = event_hash(event_id)
        user["last_ts_ms"] = ts_ms or NOW_MS
        if kind != "impression":
            slot = int(interactions(user)) % len(user["history"])
            ts_s = max(int(user["last_ts_ms"]) // 1000, int(user["history_ts_s"]))
            gap_s = ts_s - int(user["history_ts_s"] or ts_s)
            (item,) = item_hashes([item_id])
            left_out = PREFERENCE[TYPE_CODES[kind]] < 0
            self.items[user_id].append("" if left_out else item_id)
            user["history"][slot] = (item, TYPE_CODES[kind] << 12 | np.searchsorted(GAPS_S, gap_s))
            user["history_ts_s"] = ts_s
        code, unwanted = TYPE_CODES[kind], self.unwanted.setdefault(user_id, {})
        if REJECTION[code] or TAKES_BACK[code]:
            unwanted.pop(item_id, None)
        if REJECTION[code]:
            unwanted[item_id] = int(user["last_ts_ms"]) // 1000, code
        user["type_counts"][TYPE_CODES[kind]] += 1


@dataclass
class MemoryProducer:
    """Kafka as lists; nothing is acknowledged while `down`."""

    sent: list[Record] = field(default_factory=list)
    down: bool = False
    waiting_bytes: int = 0
    log_ts_ms: int = NOW_MS
    on_event: Callable[[Any], None] | None = None

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        on_delivery: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Keep a record."""
        self.sent.append(Record(topic, partition, key, value, headers))

    async def deliver(self, records: Sequence[Record], timeout_s: float = 5.0) -> list[str | None]:
        """Keep records and acknowledge them."""
        if self.down:
            return ["no broker"] * len(records)
        for record in records:
            self.sent.append(record)
            if self.on_event is not None and record.topic.endswith(".events"):
                self.on_event(decode_event(record.value, NOW_MS * 2))
        return [None] * len(records)

    async def place(self, record: Record, timeout_s: float = 5.0) -> Placed:
        """Keep a record and say where it stands among those of its partition."""
        if self.down:
            raise ServiceError("kafka", "no broker")
        before = [each for each in self.sent if each[:2] == record[:2]]
        self.sent.append(record)
        return Placed(len(before), self.log_ts_ms)

    def values(self, topic: str) -> list[Any]:
        """Return the decoded values sent to a topic."""
        return [
            msgspec.json.decode(each.value or b"null") for each in self.sent if each.topic == topic
        ]


class MemoryErasures:
    """What the state says of erasures, in a dict; reading fails while `down`."""

    def __init__(self) -> None:
        self.states: dict[tuple[int, str], ErasureState] = {}
        self.down = False

    async def get(self, partition: int, user_hash: str) -> ErasureState:
        """Return what the state says, as Redis would."""
        if self.down:
            raise ServiceError("redis", "down")
        return self.states.get((partition, user_hash), ErasureState(0, None))


@pytest.fixture(scope="session")
def items() -> list[Item]:
    """The catalogue."""
    return [
        msgspec.structs.replace(item, created_ts_ms=CREATED_TS_MS) for item in tiny_items(N_ITEMS)
    ]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, items: list[Item]) -> Path:
    """A registry folder with one tiny bundle."""
    folder = tmp_path_factory.mktemp("models")
    publish_tiny_bundle(folder, items)
    return folder


@pytest.fixture(scope="session")
def registry(models: Path) -> Registry:
    """The registry; bundles are checked in this process."""
    return Registry(models, checker=load_bundle)


@pytest.fixture
def table(items: list[Item]) -> ItemTable:
    """Items with counters: item 0 is the most popular, item 1 the next, and so on."""
    table = ItemTable(capacity=8)
    table.offer(items)
    records = unpack_items([None] * N_ITEMS)
    popularity = np.arange(N_ITEMS, 0, -1)
    records["first_ts_ms"] = NOW_MS - 86_400_000
    records["last_ts_ms"] = NOW_MS
    records["trend"][:, :, :] = popularity[:, None, None]
    records["people"] = popularity
    records["impressions"] = 10 * popularity[:, None]
    records["clicks"] = popularity[:, None]
    table.put_records([item.item_id for item in items], records)
    return table


@pytest.fixture
def item_state(table: ItemTable) -> ItemState:
    """The item state, loaded and following."""
    state = ItemState(table, lambda: NOW_MS)
    state.following = True
    return state


@pytest.fixture
def users() -> MemoryUsers:
    """No users yet."""
    return MemoryUsers()


@pytest.fixture
def live(registry: Registry, table: ItemTable) -> LiveBundle:
    """The bundle in use."""
    live = LiveBundle(registry, table)
    live.looked = True
    version = registry.current()
    assert version is not None
    live.current = BoundBundle(registry.load(version))
    live.current.bind(table.ids)
    return live


@pytest.fixture
def sessions(table: ItemTable) -> UserSessions:
    """No sessions yet."""
    return UserSessions(table)


@pytest.fixture
def state(
    users: MemoryUsers, item_state: ItemState, live: LiveBundle, sessions: UserSessions
) -> State:
    """All that answers are made from."""
    settings = Settings(deadline_ms=10_000)
    sources = SourceWeights(lambda: NOW_MS)
    return State(settings, users, item_state, live, UserNotices(), sessions, sources)


@pytest.fixture
def producer() -> MemoryProducer:
    """Kafka."""
    return MemoryProducer()


@pytest.fixture
def erasures() -> MemoryErasures:
    """Nobody was erased."""
    return MemoryErasures()


@pytest.fixture
def services(state: State, producer: MemoryProducer, erasures: MemoryErasures) -> Services:
    """What the HTTP layer is handed."""
    numbers = itertools.count()
    topics = Topics("test")
    return Services(
        state=state,
        producer=producer,
        kafka=KafkaWatch(lambda: True, lambda: producer.waiting_bytes, 1_000),
        log=AnswerLog(producer, topics, 4, lambda: NOW_MS),
        erasures=erasures,
        retention=Retention(topics, lambda _: 1_000),
        topics=topics,
        partitions=4,
        clock=lambda: NOW_MS,
        rng=np.random.default_rng(0),
        new_id=lambda: f"id-{next(numbers)}",
    )


@pytest.fixture
def client(services: Services) -> Iterator[TestClient[Any]]:
    """The application over the twins."""
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def covisits() -> Callable[..., bytes]:
    """`covisits("item-2", "item-2", "item-3")` packs transitions to these items.

    Each is of a visit of its own; by default now, and from one item straight to the next.
    """

    def pack(
        *next_ids: str,
        ages_s: Sequence[int] | int = 0,
        distances: Sequence[int] | int = 1,
    ) -> bytes:
        rows = np.zeros(len(next_ids), COVISIT_DTYPE)
        rows["next"] = item_hashes(next_ids)
        rows["ts_s"] = NOW_MS // 1000 - np.asarray(ages_s)
        rows["draw"] = np.arange(len(next_ids)) * 1_000_003
        rows["distance"] = distances
        return rows.tobytes()

    return pack


@pytest.fixture
async def redis_client(redis_server: Any) -> AsyncIterator[AsyncClient]:
    """A client of the test's own Redis."""
    async with connect_async(redis_server.url, timeout_s=5.0) as client:
        yield client


async def until(true: Callable[[], bool]) -> None:
    """Wait for a plain condition that nothing sets an event for."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
