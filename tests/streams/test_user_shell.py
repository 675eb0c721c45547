"""The shell of the user fold: nothing lost, nothing counted twice, bad records set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freshet.core.errors import PositionError
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event
from freshet.core.state.keys import Keys
from freshet.core.state.reader import state_digest
from freshet.core.state.records import unpack_users
from streams.deltas import decode_deltas
from streams.fold_shell import FoldContext
from streams.item_vectors import LiveVectors
from streams.lifetimes import keep_lifetimes
from streams.record_batch import RecordBatch
from streams.user_fold_rows import CHANGED, TOTALS
from streams.user_shell import UserShell

from .conftest import NOW_MS, PARTITIONS

PARTITION = 2
USERS = [f"user-{n}" for n in range(99) if partition_of(f"user-{n}", PARTITIONS) == PARTITION]


def event(number: int, user: str | None = None) -> bytes:
    return encode(
        Event(
            event_id=f"e{number}",
            type="click",
            user_id=user or USERS[number % 3],
            item_id=f"item-{number % 7}",
            ts_ms=NOW_MS - 1000 + number,
        )
    )


def batch(values: Sequence[bytes | None], start: int = 0) -> RecordBatch:
    offsets = list(range(start, start + len(values)))
    return RecordBatch(
        "freshet.events", PARTITION, start, offsets, [b"k"] * len(values), values,
        [NOW_MS] * len(values),
    )  # fmt: skip


async def started(context: FoldContext, tmp_path: Path) -> UserShell:
    shell = UserShell(context, LiveVectors(tmp_path))
    await shell.start(PARTITION, 0)
    return shell


def clicks(context: FoldContext) -> int:
    store: Any = context.store
    hashes = [
        store.hashes.get(context.keys.users(partition), {}) for partition in range(PARTITIONS)
    ]
    users = unpack_users([blob for each in hashes for blob in each.values()])
    return int(users["type_counts"].sum())


def delta_offsets(context: FoldContext) -> list[int]:
    producer: Any = context.producer
    messages = producer.values("freshet.item-deltas")
    rows = [row for raw in messages for row in decode_deltas(raw).activity_rows()]
    return sorted(int(row["offset"]) for row in rows)


async def test_a_batch_is_applied_whole(context: FoldContext, tmp_path: Path) -> None:
    """State, position and deltas."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(n) for n in range(23)])])
    position = await context.store.position(shell.position_key(PARTITION))
    assert position["next"] == position["applied"] == clicks(context) == 23
    assert position["watermark_ts_ms"] == NOW_MS - 1000 + 22
    assert delta_offsets(context) == list(range(23))


async def test_a_round_keeps_its_partitions_apart(context: FoldContext, tmp_path: Path) -> None:
    """Each has its own position, totals and users, though they are folded together."""
    shell = UserShell(context, LiveVectors(tmp_path))
    round_ = []
    for partition in range(PARTITIONS):
        await shell.start(partition, 0)
        user = next(f"u{n}" for n in range(99) if partition_of(f"u{n}", PARTITIONS) == partition)
        values = [event(10 * partition + n, user) for n in range(partition + 1)]
        round_.append(replace(batch([*values, b"{bad"]), partition=partition))
    await shell.apply(round_)
    for partition in range(PARTITIONS):
        position = await context.store.position(shell.position_key(partition))
        assert (position["applied"], position["rejected"]) == (partition + 1, 1)
        assert position["next"] == partition + 2
        assert position["watermark_ts_ms"] == NOW_MS - 1000 + 11 * partition
    store: Any = context.store
    assert len(store.hashes) == 3 * PARTITIONS  # users, event ids and an outbox each
    assert clicks(context) == 1 + 2 + 3 + 4


async def test_a_batch_that_comes_again_changes_nothing(
    context: FoldContext, tmp_path: Path
) -> None:
    """Whole or in part."""
    shell = await started(context, tmp_path)
    values = [event(n) for n in range(8)]
    await shell.apply([batch(values)])
    await shell.apply([batch(values)])
    await shell.apply([batch([*values[5:], event(8)], start=5)])
    assert clicks(context) == 9
    assert delta_offsets(context) == list(range(9))


@pytest.mark.parametrize("damage", [b"", b"abc", b"\xff" * 600, b"\x03" * 468])
async def test_a_damaged_record_starts_again_with_the_next_event(
    context: FoldContext, tmp_path: Path, damage: bytes
) -> None:
    """It ends no worker, and everyone else counts on."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(n) for n in range(3)])])
    store: Any = context.store
    users = store.hashes[context.keys.users(PARTITION)]
    users[USERS[0]] = damage
    other = users[USERS[2]]
    shell = await started(context, tmp_path)
    await shell.forget_idle(PARTITION, 0)
    assert users[USERS[0]] == damage
    await shell.apply([batch([event(n) for n in range(3, 5)], 3)])
    mended, counted = unpack_users([users[USERS[0]], users[USERS[1]]])
    assert (mended["type_counts"].sum(), counted["type_counts"].sum()) == (1, 2)
    assert users[USERS[2]] == other


async def test_a_batch_that_was_not_handed_over_is_noticed(
    context: FoldContext, tmp_path: Path
) -> None:
    """The next one ends the worker, and has written nothing."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(0)])])
    with pytest.raises(PositionError):
        await shell.apply([batch([event(5)], start=5)])
    assert clicks(context) == 1


async def test_a_hole_in_the_log_is_no_gap(context: FoldContext, tmp_path: Path) -> None:
    """Transaction markers and compaction leave offsets out."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(0)])])
    holed = replace(batch([event(7)], start=1), offsets=[7])
    await shell.apply([holed])
    assert clicks(context) == 2
    assert (await context.store.position(shell.position_key(PARTITION)))["next"] == 8


async def test_bad_records_go_to_the_dead_letters(context: FoldContext, tmp_path: Path) -> None:
    """With their origin and reason, and their neighbours are counted."""
    stranger = next(f"x{n}" for n in range(99) if partition_of(f"x{n}", PARTITIONS) != PARTITION)
    shell = await started(context, tmp_path)
    values = [event(0), b"{bad", None, event(1, stranger), event(2), b"x" * 100_000]
    await shell.apply([batch(values, start=40)])
    producer: Any = context.producer
    letters = [r for r in producer.records if r.topic == "freshet.dead-letters"]
    found = {}
    for letter in letters:
        headers = {name.removeprefix("freshet.dead-letter."): v for name, v in letter.headers}
        assert headers["topic"] == b"freshet.events"
        assert headers["partition"] == b"2"
        assert letter.key == b"freshet.events-2-" + headers["offset"]
        found[int(headers["offset"])] = headers["reason"].decode()
    assert found == {
        41: "undecodable",
        42: "empty",
        43: "wrong_partition",
        45: "too_large",
    }
    assert [letter.value for letter in letters if letter.value == b"{bad"] == [b"{bad"]
    assert clicks(context) == 2
    position = await context.store.position(shell.position_key(PARTITION))
    assert (position["next"], position["rejected"]) == (46, 4)


async def test_an_event_sent_twice_counts_once(context: FoldContext, tmp_path: Path) -> None:
    """A client that retries uses the same event id."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(0), event(0)])])
    await shell.apply([batch([event(0)], start=2)])
    assert clicks(context) == 1
    assert delta_offsets(context) == [0]
    assert (await context.store.position(shell.position_key(PARTITION)))["duplicates"] == 2


async def test_a_worker_that_takes_over_reads_the_state(
    context: FoldContext, tmp_path: Path
) -> None:
    """What one worker wrote, the next builds on."""
    first = await started(context, tmp_path)
    await first.apply([batch([event(n) for n in range(4)])])
    second = UserShell(context, LiveVectors(tmp_path))
    assert await second.start(PARTITION, 0) == 4
    await second.apply([batch([event(n) for n in range(4, 8)], start=4)])
    assert clicks(context) == 8


async def test_a_cache_is_emptied_only_when_redis_has_what_it_held(
    context: FoldContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round is folded while the one before is written: it must not read what was before."""
    monkeypatch.setattr("streams.fold_shell.MOST_CACHED", 0)
    store: Any = context.store
    write, go = store.apply, asyncio.Event()

    async def slow_write(writes: Any) -> None:
        await go.wait()
        await write(writes)

    store.apply = slow_write
    shell = await started(context, tmp_path)
    rounds = [asyncio.create_task(shell.apply([batch([event(3 * n)], start=n)])) for n in range(4)]
    for _ in range(20):
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*rounds)
    assert clicks(context) == 4


async def test_a_log_that_dropped_records_is_counted(
    context: FoldContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Retention passed the position: loud, once, and reading goes on."""
    shell = await started(context, tmp_path)
    await shell.apply([batch([event(0)])])
    for _ in range(2):  # assigned twice before anything new comes
        assert await shell.start(PARTITION, earliest=10) == 10
    await shell.apply([batch([event(10), event(11)], start=10)])
    await shell.apply([batch([event(12)], start=12)])
    assert clicks(context) == 4
    assert caplog.text.count("{'freshet.events-2': 9}") == 1
    assert (await context.store.position(shell.position_key(PARTITION)))["lost"] == 9
    with pytest.raises(PositionError):
        await shell.apply([batch([event(14)], start=14)])
    assert caplog.text.count("lost") == 1


def with_lifetime(context: FoldContext, seconds: int) -> FoldContext:
    return replace(context, settings=msgspec.structs.replace(context.settings, user_ttl_s=seconds))


async def test_idle_users_are_forgotten(context: FoldContext, tmp_path: Path) -> None:
    """Who has had no event for a lifetime of event time goes, from Redis and from memory."""
    shell = await started(with_lifetime(context, 60), tmp_path)
    old, new = USERS[:2]
    await shell.apply([batch([event(0, old), event(1, new), event(60_000, new)])])
    assert await shell.forget_idle(PARTITION, 0) == 0
    assert clicks(context) == 3
    await shell.apply([batch([event(60_001, new)], start=3)])
    assert await shell.forget_idle(PARTITION, 0) == 0
    assert clicks(context) == 3
    await shell.apply([batch([event(60_002, old)], start=4)])
    assert clicks(context) == 4
    assert (await context.store.position(shell.position_key(PARTITION)))["applied"] == 5


async def test_nobody_is_forgotten_while_the_past_is_replayed(
    context: FoldContext, tmp_path: Path
) -> None:
    """A day in it passes in a second: how long somebody was away says nothing."""
    replaying = replace(with_lifetime(context, 60), clock=lambda: NOW_MS + 7_200_000)
    shell = await started(replaying, tmp_path)
    await shell.apply([batch([event(0, USERS[0]), event(60_001, USERS[1])])])
    assert await shell.forget_idle(PARTITION, 0) == 0
    assert clicks(context) == 2


async def test_users_of_another_worker_are_left_alone(context: FoldContext, tmp_path: Path) -> None:
    """Its partition was taken over, and it does not know yet."""
    first, second = await started(context, tmp_path), await started(context, tmp_path)
    await first.apply([batch([event(0)])])
    await second.start(PARTITION, 0)
    await second.apply([batch([event(3)], start=1)])
    first._states[PARTITION].position["watermark_ts_ms"] = 2**60
    with pytest.raises(PositionError):
        await first.forget_idle(PARTITION, 0)
    assert clicks(context) == 2


async def test_lifetimes_are_kept_step_by_step(context: FoldContext, tmp_path: Path) -> None:
    """All users come by in turn, and a partition that is gone harms no other."""
    shell = await started(with_lifetime(context, 60), tmp_path)
    await shell.apply([batch([*(event(0, user) for user in USERS), event(60_002, USERS[0])])])
    looks = iter([{PARTITION}, set(), {PARTITION}, {PARTITION}])

    def assigned() -> set[int]:
        try:
            return next(looks)
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await keep_lifetimes(shell, assigned, every_s=0)
    assert clicks(context) == 2


class OnePosition:
    """A client of a Redis that holds one position, and nothing else."""

    def __init__(self, **position: int) -> None:
        self._position = {name.encode(): str(value).encode() for name, value in position.items()}

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        """Return the position of the user fold."""
        return self._position if key == Keys("n").user_position(0) else {}

    def hscan_iter(self, key: str, count: int) -> list[tuple[bytes, bytes]]:
        """Return nothing."""
        return []


@pytest.mark.parametrize("name", [name for name in TOTALS if name != CHANGED])
def test_every_total_is_in_the_hash_of_the_state(name: str) -> None:
    """What is held back too: one that is counted in one life and not in the other is seen."""
    client: Any = OnePosition(**{name: 1})
    nothing: Any = OnePosition()
    digest, empty = state_digest(client, "n", 1), state_digest(nothing, "n", 1)
    assert [each for each in digest if digest[each] != empty[each]] == ["user_positions"]
