"""Deduplication: against a slow twin, in any batches, across workers, and within its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import IMPRESSION, TYPE_CODES
from freshet.core.state.records import unpack_users
from streams import deduplication
from streams.deduplication import (
    BLOCK,
    FLOOR,
    MOST,
    REMEMBERED_S,
    WINDOW_S,
    PartitionIds,
    Ring,
    event_ids,
    unpack_block,
)
from streams.deduplication_loops import LIMITS_DTYPE
from streams.user_fold_rows import EVENT_DTYPE

CLICK = TYPE_CODES["click"]
NOW_MS = 1_700_000_000_000
KEY = "ids"
Row = tuple[int, int, int]  # id, type, event time in ms


class Partition:
    """A partition whose ids are kept in a dictionary, as Redis would keep them."""

    def __init__(self) -> None:
        self.fields: dict[str, bytes] = {}
        self.position: dict[str, int] = {}
        self.restart()

    def restart(self) -> None:
        """Another worker takes the partition over."""
        self.ids = PartitionIds(self.fields, self.position)

    def take(self, rows: list[Row]) -> list[bool]:
        """Return which of the events are copies; write what changed."""
        events = np.zeros(len(rows), EVENT_DTYPE)
        events["event"] = 7  # not among the recent ones of the user
        ids = np.array([row[0] for row in rows], np.uint64)
        shown = np.array([row[1] == IMPRESSION for row in rows], np.bool_)
        ts_ms = np.array([row[2] for row in rows], np.int64)
        users, gone = unpack_users([None]), np.zeros(len(rows), np.bool_)
        before = self.position.get("watermark_ts_ms", 0)
        copies = self.ids.find_copies(users, events, ids, shown, gone, ts_ms, before)
        accepted = ~copies
        position = self.position
        position["applied"] = position.get("applied", 0) + int(accepted.sum())
        position["impressions"] = self.ids.impressions
        position["watermark_ts_ms"] = max([before, *ts_ms[accepted].tolist()])
        for changes in self.ids.changes(KEY):
            for name in changes.delete:
                self.fields.pop(name, None)  # a block may come and go within a batch
            self.fields |= dict(zip(changes.names, changes.values.values(), strict=True))
        return copies.tolist()


class Twin:
    """The slow and obvious way: a list of all that was accepted."""

    def __init__(self, floor: int, most: int, window_s: int) -> None:
        self.limits = floor, most, window_s
        self.accepted: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self.watermark_ms = 0

    def take(self, rows: list[Row]) -> list[bool]:
        """Return which of the events are copies."""
        return [self._is_copy(*row) for row in rows]

    def _is_copy(self, event_id: int, kind: int, ts_ms: int) -> bool:
        floor, most, window_s = self.limits
        for accepted in self.accepted.values():
            newest = {each: (number, mark_s) for number, (each, mark_s) in enumerate(accepted)}
            if event_id not in newest:
                continue
            number, mark_s = newest[event_id]
            age = len(accepted) - number
            if age <= floor or (age <= most and self.watermark_ms // 1000 - mark_s <= window_s):
                return True
        self.watermark_ms = max(self.watermark_ms, ts_ms)
        self.accepted[kind == IMPRESSION].append((event_id, self.watermark_ms // 1000))
        return False


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    """Limits that a short log meets."""
    limits = 8, 32, 60
    monkeypatch.setattr(deduplication, "_LIMITS", np.array([limits], LIMITS_DTYPE))
    return limits


logs = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.sampled_from([CLICK, CLICK, IMPRESSION]),
        st.integers(0, 40).map(lambda step: NOW_MS + 10_000 * step),
    ),
    min_size=1,
    max_size=300,
)


@settings(max_examples=60, deadline=None)
@given(rows=logs, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_every_decision_is_that_of_the_twin(rows: list[Row], sizes: list[int]) -> None:
    """In batches of any size, with another worker after each of some."""
    limits = 8, 32, 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplication, "_LIMITS", np.array([limits], LIMITS_DTYPE))
        twin, partition, at_once = Twin(*limits), Partition(), Partition()
        at_once.take(rows)
        at = 0
        for number in range(len(rows)):
            some = rows[at : at + sizes[number % len(sizes)]]
            at += len(some)
            assert partition.take(some) == twin.take(some)
            if number % 3 == 0:
                partition.restart()
        assert partition.fields == at_once.fields
        assert partition.position == at_once.position


def test_what_comes_within_a_batch_again_is_a_copy() -> None:
    """And in the next one."""
    partition = Partition()
    assert partition.take([(1, CLICK, NOW_MS), (2, CLICK, NOW_MS), (1, CLICK, NOW_MS)]) == [
        False, False, True,
    ]  # fmt: skip
    assert partition.take([(2, CLICK, NOW_MS)]) == [True]
    assert partition.take([]) == []


@pytest.mark.parametrize("restarts", [False, True])
def test_a_hundred_at_once_are_all_known(restarts: bool) -> None:
    """Sent again as they were, also to another worker."""
    partition = Partition()
    rows = [(number, CLICK, NOW_MS) for number in range(1, 101)]
    assert not any(partition.take(rows))
    if restarts:
        partition.restart()
    assert all(partition.take(rows))


@pytest.mark.parametrize(("between", "known"), [(0, True), (6, True), (7, True), (8, False)])
def test_the_last_are_known_whatever_the_time_is(
    small: tuple[int, int, int], between: int, known: bool
) -> None:
    """The eighth from the end is; the one before it has gone with its time."""
    partition = Partition()
    partition.take([(1, CLICK, NOW_MS)])
    later_ms = NOW_MS + 1000 * (small[2] + 1)
    partition.take([(100 + n, CLICK, later_ms) for n in range(between)] or [(1, CLICK, later_ms)])
    assert partition.take([(1, CLICK, later_ms)]) == [known]


def test_impressions_make_nothing_else_forgotten(small: tuple[int, int, int]) -> None:
    """However many there are."""
    partition = Partition()
    partition.take([(1, CLICK, NOW_MS)])
    later_ms = NOW_MS + 1000 * (small[2] + 1)
    for start in range(2, 2_000, 100):
        partition.take([(start + n, IMPRESSION, later_ms) for n in range(100)])
        partition.restart()
    assert partition.take([(1, CLICK, NOW_MS), (1_999, IMPRESSION, NOW_MS)]) == [True, True]
    assert partition.take([(2, IMPRESSION, NOW_MS)]) == [False]


def test_ten_minutes_are_remembered_whatever_comes_between() -> None:
    """Also when the watermark runs ahead as far as a clock may be wrong."""
    partition = Partition()
    partition.take([(1, CLICK, NOW_MS)])
    others = FLOOR + 5_000
    last_ms = NOW_MS + 1000 * REMEMBERED_S + 300_000
    for start in range(0, others, 5_000):
        share = min(start + 5_000, others) / others
        ts_ms = NOW_MS + int(share * (last_ms - NOW_MS))
        partition.take([(10 + start + n, CLICK, ts_ms) for n in range(min(5_000, others - start))])
    partition.restart()
    assert partition.take([(1, CLICK, NOW_MS)]) == [True]
    partition.take([(5, CLICK, NOW_MS + 1000 * WINDOW_S + 1_000)])
    assert partition.take([(1, CLICK, NOW_MS)]) == [False]


def test_a_watermark_that_jumps_forgets_none_of_the_last() -> None:
    """Where few events come, or a log of the past is replayed, time proves nothing."""
    partition = Partition()
    partition.take([(1, CLICK, NOW_MS - 86_400_000), (2, IMPRESSION, NOW_MS - 86_400_000)])
    partition.take([(3, CLICK, NOW_MS)])
    partition.restart()
    assert partition.take([(1, CLICK, NOW_MS), (2, IMPRESSION, NOW_MS)]) == [True, True]


@pytest.mark.parametrize("kind", [CLICK, IMPRESSION])
def test_memory_has_bounds(small: tuple[int, int, int], kind: int) -> None:
    """No more blocks than the limits need, whatever the times are."""
    partition = Partition()
    for start in range(1, 4_000, 37):
        partition.take([(start + n, kind, NOW_MS) for n in range(37)])
        assert len(partition.fields) <= small[1] // BLOCK + 2
    later_ms = NOW_MS + 1000 * (small[2] + 1)
    partition.take([(5_000 + n, kind, later_ms) for n in range(2 * BLOCK)])
    assert len(partition.fields) <= 3


def test_a_full_ring_still_knows_the_last() -> None:
    """At `MOST`, the oldest go one by one."""
    rows = MOST + 3
    ring = PartitionIds({}, {})
    users, events = unpack_users([None]), np.zeros(1 << 16, EVENT_DTYPE)
    events["event"] = 7

    def copies(ids: Any) -> int:
        found = ring.find_copies(
            users, events[: len(ids)], ids, np.zeros(len(ids), np.bool_),
            np.zeros(len(ids), np.bool_), np.full(len(ids), NOW_MS), NOW_MS,
        )  # fmt: skip
        ring.changes(KEY)
        return int(found.sum())

    ids = np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert sum(copies(ids[at : at + 50_000]) for at in range(0, rows, 50_000)) == 0
    assert copies(ids[-50_000:]) == 50_000
    assert copies(ids[3:1_003]) == 1_000
    assert copies(ids[:3]) == 0


def test_users_of_one_event_id_are_told_apart() -> None:
    """Ids are unique for a user; no hash is 0, which means none."""
    found = event_ids(np.array([5, 5, 0], np.uint64), np.array([1, 2, 0], np.uint64))
    assert len(set(found.tolist())) == 3
    assert found.min() == 1


@pytest.mark.parametrize("blob", [b"", b"x", b"\x02\x01", b"\x01\x01" + bytes(13)])
def test_a_damaged_block_is_left_out(blob: bytes) -> None:
    """The worker goes on: some copies may count, which is said in the log."""
    assert len(unpack_block(blob)[0]) == 0
    ring = Ring("a", 3)
    ring.load({0: blob}, 0)
    assert ring.end == 3


def test_a_state_without_ids_begins_in_mid_block() -> None:
    """As one does that was written before ids were kept."""
    partition = Partition()
    partition.position = {"applied": BLOCK + 5}
    partition.restart()
    partition.take([(1, CLICK, NOW_MS)])
    assert list(partition.fields) == ["a1"]
    partition.restart()
    assert partition.take([(1, CLICK, NOW_MS), (2, CLICK, NOW_MS)]) == [True, False]
