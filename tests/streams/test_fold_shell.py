"""The shell around any fold: rounds in order, and no trust in what others may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from freshet.core.errors import PositionError, ServiceError, SettingError
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import Record
from freshet.core.events.schema import Event
from freshet.core.state.records import unpack_users
from streams import fold_shell
from streams.fold_shell import FoldContext, FoldShell
from streams.item_vectors import LiveVectors
from streams.packed import Packed
from streams.record_batch import RecordBatch
from streams.state_loss import Held
from streams.store import NO_POSITION, Changes, Move, Write
from streams.user_shell import UserShell

from .conftest import NOW_MS, PARTITIONS


@dataclass
class Told:
    """A round, folded: what it writes, and its words for the next."""

    writes: list[Write]
    words: list[str]


class CountingShell(FoldShell[Told, dict[str, int]]):
    """Counts values in the store, and notes what is called when; the test holds its gates."""

    name = "users"  # the labels of the metrics are those of the real folds

    def __init__(self, context: FoldContext) -> None:
        super().__init__(context)
        self.steps: list[str] = []
        self.counted: list[str] = []
        self.may_write, self.may_tell = asyncio.Event(), asyncio.Event()
        self.may_write.set()
        self.may_tell.set()
        self.loaded: list[int] = []

    @property
    def topic(self) -> str:
        return "words"

    def position_key(self, partition: int) -> str:
        return f"n:{{u{partition}}}:position"

    def held(self, partition: int) -> Held:
        return Held([f"n:{{u{partition}}}:counts"], f"n:{{u{partition}}}:counts")

    def _new_cache(self) -> dict[str, int]:
        return {}

    async def _load(self, partition: int) -> None:
        self.loaded.append(partition)

    async def _fold(self, batches: Sequence[RecordBatch]) -> Told:
        writes, words = [], []
        for batch in batches:
            key = f"n:{{u{batch.partition}}}:counts"
            names = [value.decode() for value in batch.values if value]
            words += names
            missing = [name for name in dict.fromkeys(names) if name not in self._cache]
            (found,) = await self.context.store.fields([(key, missing)])
            self._cache |= {name: int(blob or 0) for name, blob in zip(missing, found, strict=True)}
            for name in names:
                self._cache[name] += 1
            state = self._states[batch.partition]
            position = state.moved(batch.end, applied=len(names))
            move = Move(self.position_key(batch.partition), "n:c", state.next, position)
            state.position = position
            values = Packed.of([str(self._cache[name]).encode() for name in dict.fromkeys(names)])
            writes.append(Write(move, [Changes(key, list(dict.fromkeys(names)), values)], {}))
        self.steps.append(f"fold {''.join(words)}")
        return Told(writes, words)

    async def _write(self, folded: Told) -> None:
        self.steps.append(f"begin {''.join(folded.words)}")
        await self.may_write.wait()
        await self.context.store.apply(folded.writes)
        self.steps.append(f"wrote {''.join(folded.words)}")

    def _count(self, folded: Told) -> None:
        self.counted += folded.words

    async def _tell(self, folded: Told) -> None:
        await self.may_tell.wait()
        self.steps.append(f"told {''.join(folded.words)}")


def batch(words: str, start: int = 0, partition: int = 0) -> RecordBatch:
    """A record for each letter."""
    values = [letter.encode() for letter in words]
    offsets = list(range(start, start + len(values)))
    return RecordBatch(
        "words", partition, start, offsets, [None] * len(values), values,
        [NOW_MS - 1000 + at for at in offsets],
    )  # fmt: skip


def counts(context: FoldContext, partition: int = 0) -> dict[str, int]:
    """What the store holds."""
    store: Any = context.store
    found = store.hashes.get(f"n:{{u{partition}}}:counts", {})
    return {name: int(blob) for name, blob in found.items()}


async def started(context: FoldContext, *partitions: int) -> CountingShell:
    """A shell that was assigned partitions."""
    shell = CountingShell(context)
    for partition in partitions or (0,):
        await shell.start(partition, 0)
    return shell


async def settled() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


# --- the start ---


async def test_a_new_partition_starts_where_the_log_does(context: FoldContext) -> None:
    """At its first record, whatever the number of that is."""
    shell = CountingShell(context)
    assert await shell.start(0, 0) == 0
    assert await shell.start(1, 17) == 17
    assert shell.loaded == [0, 1]


async def test_a_partition_starts_at_its_position_or_at_what_is_left(context: FoldContext) -> None:
    """A log that dropped what was next is read from its new start."""
    shell = await started(context)
    await shell.apply([batch("aab")])
    assert await shell.start(0, 0) == 3
    assert await shell.start(0, 2) == 3
    assert await shell.start(0, 5) == 5


@pytest.mark.parametrize("what", ["positions", "hashes"])
async def test_half_of_a_partition_is_refused(context: FoldContext, what: str) -> None:
    """Its position or its state was dropped: neither counted again nor lost without a word."""
    shell = await started(context)
    await shell.apply([batch("aab")])
    store: Any = context.store
    getattr(store, what).clear()
    with pytest.raises(SettingError, match="is 'missing'"):
        await shell.start(0, 0)


async def test_what_another_worker_wrote_meanwhile_is_read_again(context: FoldContext) -> None:
    """A partition that comes back after a rebalance was another's: the cache is not trusted."""
    ours = await started(context)
    await ours.apply([batch("aab")])
    theirs = await started(context)
    await theirs.apply([batch("abc", start=3)])
    assert await ours.start(0, 0) == 6
    await ours.apply([batch("abcd", start=6)])
    assert counts(context) == {"a": 4, "b": 3, "c": 2, "d": 1}


async def test_users_that_another_worker_counted_are_read_again(
    context: FoldContext, tmp_path: Path
) -> None:
    """The same for the records of users: joins and leaves lose no event, over many of them."""
    partition, users = 2, [f"u{n}" for n in range(60) if partition_of(f"u{n}", PARTITIONS) == 2]
    shells = [UserShell(context, LiveVectors(tmp_path)) for _ in range(2)]
    sent = 0
    for turn in range(6):
        shell = shells[turn % 2]
        assert await shell.start(partition, 0) == sent
        values = [
            encode(
                Event(
                    event_id=f"e{sent + n}", type="click", user_id=user, item_id="i", ts_ms=NOW_MS
                )
            )
            for n, user in enumerate(users)
        ]
        await shell.apply([replace(batch("", sent, partition), **columns(values, sent))])
        sent += len(values)
    store: Any = context.store
    found = store.hashes[context.keys.users(partition)]
    totals = unpack_users(list(found.values()))["type_counts"].sum(axis=1)
    assert dict(zip(found, totals.tolist(), strict=True)) == dict.fromkeys(users, 6)


def columns(values: list[bytes], start: int) -> dict[str, Any]:
    """The columns of a batch of these values."""
    n = len(values)
    offsets = list(range(start, start + n))
    return {"offsets": offsets, "values": values, "keys": [None] * n, "ts_ms": [NOW_MS] * n}


async def test_a_partition_that_comes_empties_the_cache_of_all(context: FoldContext) -> None:
    """One cache serves all: a record of another partition is read again, and is the same."""
    shell = await started(context, 0, 1)
    await shell.apply([batch("a"), batch("b", partition=1)])
    await shell.start(1, 0)
    await shell.apply([batch("a", 1)])
    assert (counts(context, 0), counts(context, 1)) == ({"a": 2}, {"b": 1})


async def test_a_start_waits_for_the_round_that_is_written(context: FoldContext) -> None:
    """The position that it reads is the last one."""
    shell = await started(context)
    shell.may_write.clear()
    applying = asyncio.create_task(shell.apply([batch("abc")]))
    await settled()
    starting = asyncio.create_task(shell.start(0, 0))
    await settled()
    assert not starting.done()
    shell.may_write.set()
    assert await starting == 3
    await applying


# --- a round ---


async def test_a_round_without_news_is_passed_over(context: FoldContext) -> None:
    """None, and what was applied before."""
    shell = await started(context)
    await shell.apply([])
    await shell.apply([batch("ab")])
    steps = list(shell.steps)
    await shell.apply([batch("ab")])
    assert shell.steps == steps
    assert counts(context) == {"a": 1, "b": 1}


async def test_only_what_is_new_of_a_batch_is_folded(context: FoldContext) -> None:
    """Whatever the pieces are in which it comes again."""
    shell = await started(context)
    await shell.apply([batch("abc")])
    await shell.apply([batch("bcd", start=1)])
    assert counts(context) == dict.fromkeys("abcd", 1)


async def test_a_gap_is_an_error_and_nothing_is_written(context: FoldContext) -> None:
    """Records that were not handed over are never passed over."""
    shell = await started(context, 0, 1)
    await shell.apply([batch("a"), batch("x", partition=1)])
    with pytest.raises(PositionError):
        await shell.apply([batch("b", 1), batch("z", start=2, partition=1)])
    assert (counts(context, 0), counts(context, 1)) == ({"a": 1}, {"x": 1})
    await shell.apply([batch("b", 1), batch("y", 1, 1)])
    assert (counts(context, 0), counts(context, 1)) == ({"a": 1, "b": 1}, {"x": 1, "y": 1})


async def test_rounds_keep_their_order_and_overlap(context: FoldContext) -> None:
    """While one is written the next is folded; while one is told the next is written."""
    shell = await started(context)
    shell.may_write.clear()
    shell.may_tell.clear()
    rounds = [
        asyncio.create_task(shell.apply([batch(word, start)])) for start, word in enumerate("abc")
    ]
    await settled()
    assert shell.steps == ["fold a", "begin a", "fold b"]
    shell.may_write.set()
    await settled()
    assert shell.steps[3:] == [
        "wrote a", "begin b", "wrote b", "fold c", "begin c", "wrote c",
    ]  # fmt: skip
    shell.may_tell.set()
    await asyncio.gather(*rounds)
    assert shell.steps[-3:] == ["told a", "told b", "told c"]
    assert counts(context) == dict.fromkeys("abc", 1)


async def test_a_write_that_fails_is_raised_and_nothing_is_told(context: FoldContext) -> None:
    """The worker ends on it; the position in Redis is where it was."""
    shell, other = await started(context), await started(context)
    await other.apply([batch("z")])
    with pytest.raises(PositionError):
        await shell.apply([batch("a")])
    assert shell.steps == ["fold a", "begin a"]
    assert shell.counted == []
    assert counts(context) == {"z": 1}
    assert await asyncio.wait_for(shell.start(0, 0), 1) == 1  # no lock is held any more


async def test_a_cache_that_is_too_large_is_emptied_behind_what_is_written(
    context: FoldContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record is dropped from memory only when Redis has it: the counts stay right."""
    monkeypatch.setattr(fold_shell, "MOST_CACHED", 2)
    shell = await started(context)
    shell.may_write.clear()
    rounds = [asyncio.create_task(shell.apply([batch("abc", start)])) for start in (0, 3, 6)]
    await settled()
    shell.may_write.set()
    await asyncio.gather(*rounds)
    assert counts(context) == dict.fromkeys("abc", 3)
    await shell.apply([batch("a", 9)])
    assert set(shell._cache) == {"a"}


async def test_a_cache_of_just_the_size_is_kept(
    context: FoldContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read twice without need."""
    monkeypatch.setattr(fold_shell, "MOST_CACHED", 3)
    shell = await started(context)
    await shell.apply([batch("abc")])
    await shell.apply([batch("a", 3)])
    assert shell._cache == {"a": 2, "b": 1, "c": 1}


# --- what is counted ---


async def test_what_the_log_lost_is_counted_once(context: FoldContext) -> None:
    """In the metric and in the position, when the round behind the loss is written."""
    shell = await started(context)
    await shell.apply([batch("ab")])
    before = metric("freshet_events_lost_total", fold="users")
    assert await shell.start(0, 7) == 7
    assert metric("freshet_events_lost_total", fold="users") == before
    await shell.apply([batch("c", start=7)])
    await shell.apply([batch("d", start=8)])
    assert metric("freshet_events_lost_total", fold="users") == before + 5
    position = await context.store.position(shell.position_key(0))
    assert position == {"next": 9, "applied": 4, "lost": 5}


async def test_a_log_that_never_was_read_has_lost_nothing(context: FoldContext) -> None:
    """A new installation on an old topic."""
    shell = CountingShell(context)
    before = metric("freshet_events_lost_total", fold="users")
    await shell.start(0, 1000)
    await shell.apply([batch("a", start=1000)])
    assert metric("freshet_events_lost_total", fold="users") == before
    assert await context.store.position(shell.position_key(0)) == {"next": 1001, "applied": 1}


async def test_a_round_is_measured(context: FoldContext) -> None:
    """Its size, where it leads, and how long its oldest record waited."""
    shell = await started(context)
    names = ("freshet_batch_events_sum", "freshet_event_freshness_seconds_sum")
    before = [metric(name, fold="users") for name in names]
    await shell.apply([batch("abc")])
    after = [metric(name, fold="users") for name in names]
    assert after[0] - before[0] == 3
    assert after[1] - before[1] == pytest.approx(1.0)  # the clock stands 1 s behind the first
    assert metric("freshet_partition_position_offset", fold="users", partition="0") == 3


async def test_an_evaluation_counts_nothing(context: FoldContext) -> None:
    """The folds that run in its process leave the metrics alone, and do all else."""
    shell = await started(replace(context, metered=False))
    names = ("freshet_batch_events_sum", "freshet_events_lost_total")
    before = [metric(name, fold="users") for name in names]
    await shell.apply([batch("ab")])
    await shell.start(0, 7)
    await shell.apply([batch("c", start=7)])
    assert [metric(name, fold="users") for name in names] == before
    assert shell.counted == []
    assert counts(context) == dict.fromkeys("abc", 1)


async def test_records_that_kafka_does_not_take_are_an_error(context: FoldContext) -> None:
    """Named with their number: the worker must not go on."""
    shell = await started(context)
    producer: Any = context.producer
    producer.failing = True
    with pytest.raises(ServiceError, match="2 records not delivered: broker away"):
        await shell._deliver([Record("t", 0, None, b"x")] * 2)
    producer.failing = False
    await shell._deliver([Record("t", 0, None, b"x")])


async def test_a_fold_has_no_position_before_its_first_round(context: FoldContext) -> None:
    """-1 is none: the script expects it of a new partition."""
    shell = await started(context)
    assert shell._states[0].next == NO_POSITION
    assert (shell.most_bytes, shell.alone) == (None, None)
