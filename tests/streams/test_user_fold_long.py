"""The user fold on a long log: one event, one id, one transition in ten thousand is not lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import EVENT_TYPES, EventType
from freshet.core.settings import Settings
from freshet.core.state.records import history_newest_first, unpack_users
from freshet.core.state.unwanted import UNWANTED_CAPACITY, unpack_unwanted
from streams.deltas import decode_deltas

from .conftest import NOW_MS, PARTITIONS
from .user_log import PARTITION, Folded, event

N_EVENTS = 100_000
AT_ONCE = 40_000  # records in a batch: what is wrong with each 10,000th of one would show
REMEMBERED = 16  # events of a user by whose ids one that comes again is known
USERS = [f"u{n}" for n in range(320) if partition_of(f"u{n}", PARTITIONS) == PARTITION]


@dataclass
class Long:
    """A long log, folded: whose each event is, of what type, and what came out."""

    users: list[str]
    types: list[EventType]
    folded: Folded


def fold(models: Path, kinds: Sequence[EventType], **settings: Any) -> Long:
    """Fold a long log whose users, types and ids are drawn, each event of an item of its own."""
    rng = np.random.default_rng(1)
    users = [USERS[at] for at in rng.integers(0, len(USERS), N_EVENTS)]
    types = [kinds[at] for at in rng.integers(0, len(kinds), N_EVENTS)]
    ids = rng.integers(0, 2**62, N_EVENTS).tolist()
    rows = [
        event(ids[number], users[number], NOW_MS + number, item=f"i{number}", kind=types[number])
        for number in range(N_EVENTS)
    ]

    async def folding() -> Folded:
        folded = Folded(models, **settings)
        await folded.start()
        await folded.read(rows, AT_ONCE)
        return folded

    return Long(users, types, asyncio.run(folding()))


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Long:
    """A long log of clicks, all of which add to their items."""
    return fold(tmp_path_factory.mktemp("models"), ["click"], contribution_window_s=0)


def deltas(folded: Folded) -> tuple[np.ndarray, np.ndarray]:
    """All activity and all transitions that were emitted."""
    messages = [decode_deltas(raw) for raw in folded.producer.values("freshet.item-deltas") if raw]
    return (
        np.concatenate([each.activity_rows() for each in messages]),
        np.concatenate([each.covisit_rows() for each in messages]),
    )


def test_every_event_of_a_long_log_is_counted(tmp_path: Path) -> None:
    """In the totals, for its user and its type, and for its item; looked up one by one."""
    log = fold(tmp_path, EVENT_TYPES)
    expected: defaultdict[str, Any] = defaultdict(lambda: np.zeros(len(EVENT_TYPES), np.int64))
    for user, kind in zip(log.users, log.types, strict=True):
        expected[user][EVENT_TYPES.index(kind)] += 1
    stored = log.folded.users
    assert set(stored) == set(expected)
    counts = unpack_users([stored[user] for user in expected])["type_counts"]
    assert counts.tolist() == [each.tolist() for each in expected.values()]
    assert log.folded.totals("next", "applied", "duplicates") == (N_EVENTS, N_EVENTS, 0)
    activity, _ = deltas(log.folded)
    assert sorted(activity["offset"].tolist()) == list(range(N_EVENTS))


def test_no_transition_of_a_long_log_is_lost(clicks: Long) -> None:
    """Each click follows the clicks before it of the same user, as many as the settings say."""
    hashes = item_hashes([f"i{number}" for number in range(N_EVENTS)]).tolist()
    before: defaultdict[str, list[int]] = defaultdict(list)
    expected = set()
    for number, user in enumerate(clicks.users):
        for distance, previous in enumerate(before[user], 1):
            expected.add((number, hashes[previous], hashes[number], distance))
        before[user] = [number, *before[user]][: Settings().covisit_distance]
    _, covisits = deltas(clicks.folded)
    names = ["offset", "previous", "next", "distance"]
    found = covisits[names].tolist()
    assert len(found) == len(set(found)) > 0.9 * N_EVENTS * Settings().covisit_distance
    assert set(found) == expected


def test_what_a_user_adds_too_often_is_held_back_and_counted(clicks: Long, tmp_path: Path) -> None:
    """Within a window a transition is emitted or counted as held: none is neither."""
    bounded = fold(tmp_path, ["click"], contribution_window_s=86_400)
    _, every = deltas(clicks.folded)
    _, some = deltas(bounded.folded)
    (held,) = bounded.folded.totals("held_transitions")
    names = ["offset", "previous", "next", "distance"]
    assert set(some[names].tolist()) < set(every[names].tolist())
    assert held > 0
    assert len(some) + held == len(every)


def test_the_history_of_a_long_log_is_its_end(clicks: Long) -> None:
    """The last interactions of each user, the newest first."""
    of_user = defaultdict(list)
    for number, user in enumerate(clicks.users):
        of_user[user].append(number)
    for user in USERS[:20]:
        record = clicks.folded.user(user)[0]
        newest = [f"i{number}" for number in reversed(of_user[user][-50:])]
        items = [item for item, *_ in history_newest_first(record).tolist()]
        assert items == item_hashes(newest).tolist()


@pytest.mark.parametrize("ago", range(1, REMEMBERED + 1))
async def test_a_record_knows_its_last_events_by_itself(tmp_path: Path, ago: int) -> None:
    """Up to sixteen events of its user later, wherever in the ring of ids it stands."""
    for events in range(ago, REMEMBERED + ago + 1):
        folded = Folded(tmp_path)
        await folded.start()
        await folded.read([event(number) for number in range(events)])
        await without_ids(folded)
        await folded.read([event(events - ago)])
        assert folded.totals("applied", "duplicates") == (events, 1)


async def test_a_record_forgets_the_seventeenth(tmp_path: Path) -> None:
    """Its memory is bounded, and the bound is this one; what a partition remembers is more."""
    for knows in (True, False):
        folded = Folded(tmp_path)
        await folded.start()
        await folded.read([event(number) for number in range(REMEMBERED + 1)])
        if not knows:
            await without_ids(folded)
        await folded.read([event(0)])
        applied = REMEMBERED + 1 + (not knows)
        assert folded.totals("applied", "duplicates") == (applied, int(knows))


async def without_ids(folded: Folded) -> None:
    """Another worker goes on, as from a state that was written before ids were kept."""
    folded.store.hashes.pop(folded.context.keys.event_ids(PARTITION))
    await folded.start()


def test_no_rejection_of_a_long_log_is_lost(tmp_path: Path) -> None:
    """Of each person the newest ones, as many as there is room for, looked up one by one."""
    log = fold(tmp_path, ["hide", "click"], unwanted_ttl_s=0)
    rejected: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    hashes = np.asarray(item_hashes([f"i{number}" for number in range(N_EVENTS)])).tolist()
    for number, (user, item) in enumerate(zip(log.users, hashes, strict=True)):
        if log.types[number] == "hide":
            rejected[user].append(((NOW_MS + number) // 1000, item))
    stored = log.folded.store.hashes[log.folded.context.keys.unwanted(PARTITION)]
    assert set(stored) == set(rejected)
    for user, rows in rejected.items():
        found = unpack_unwanted(stored[user])[["ts_s", "item"]].tolist()
        assert sorted(found) == sorted(rows)[-UNWANTED_CAPACITY:]
