"""The time rules: clocks ahead, late, out of order; told by the log alone, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.core.events.schema import MAX_FUTURE_MS
from freshet.core.metrics import (
    EVENTS_CLAMPED,
    EVENTS_LATE,
    EVENTS_OUT_OF_ORDER,
    HEARTBEAT_DELAY,
    PARTITION_WATERMARK,
)
from streams.deltas import decode_deltas

from .conftest import NOW_MS
from .user_log import PARTITION, USERS, Folded, Row, event, heartbeat

LATE_S = 3_600
LATE_MS = 1000 * LATE_S
TOTALS = ("applied", "clamped", "late", "out_of_order", "duplicates", "rejected")


def times_of_deltas(folded: Folded) -> list[int]:
    values = folded.producer.values("freshet.item-deltas")
    return [
        int(row["ts_ms"]) for raw in values for row in decode_deltas(raw or b"").activity_rows()
    ]


async def test_a_clock_ahead_of_the_log_gets_the_time_of_the_log(tmp_path: Path) -> None:
    """At most five minutes pass; the item side sees the clamped time, and nobody is refused."""
    folded = Folded(tmp_path)
    await folded.start()
    before = EVENTS_CLAMPED._value.get()
    edge = NOW_MS + MAX_FUTURE_MS
    await folded.read([event(0, ts_ms=NOW_MS - 5), event(1, ts_ms=edge + 1)])
    assert folded.totals("applied", "clamped", "watermark_ts_ms") == (2, 1, NOW_MS)
    await folded.read([event(2, ts_ms=edge), event(2, ts_ms=edge + 9)])
    assert folded.totals("applied", "clamped", "duplicates") == (3, 1, 1)
    assert times_of_deltas(folded) == [NOW_MS - 5, NOW_MS, edge]
    assert int(folded.user()["last_ts_ms"][0]) == folded.position["watermark_ts_ms"] == edge
    assert folded.producer.values("freshet.dead-letters") == []
    assert EVENTS_CLAMPED._value.get() == before + 1
    assert PARTITION_WATERMARK.labels(str(PARTITION))._value.get() == edge / 1000


async def test_an_event_long_behind_its_partition_is_late_and_counted(tmp_path: Path) -> None:
    """Behind what came before it in the log, never behind what comes after."""
    folded = Folded(tmp_path, late_s=LATE_S)
    await folded.start()
    before = EVENTS_LATE._value.get()
    old = NOW_MS - LATE_MS
    await folded.read([event(0, ts_ms=old - 9), event(1, USERS[1]), event(2, USERS[2], old)])
    assert folded.totals("applied", "late") == (3, 0)
    await folded.read([event(3, USERS[3], old - 1), event(3, USERS[3], old - 1)])
    assert folded.totals("applied", "late", "duplicates") == (4, 1, 1)
    assert folded.user(USERS[3])["type_counts"].sum() == 1
    assert folded.position["watermark_ts_ms"] == NOW_MS
    assert EVENTS_LATE._value.get() == before + 1


async def test_an_event_older_than_one_of_its_user_is_out_of_order(tmp_path: Path) -> None:
    """Within a batch and across; other users' events do not matter."""
    folded = Folded(tmp_path)
    await folded.start()
    before = EVENTS_OUT_OF_ORDER._value.get()
    ann, bob = USERS[:2]
    at = [(ann, 5), (bob, 3), (ann, 5), (ann, 4), (bob, 4), (ann, 6)]
    await folded.read([event(n, user, NOW_MS - 100 + ts) for n, (user, ts) in enumerate(at)])
    assert folded.totals("applied", "out_of_order") == (6, 1)
    await folded.read([event(7, bob, NOW_MS - 97), event(8, ann, NOW_MS - 94)])
    assert folded.totals("applied", "out_of_order") == (8, 2)
    assert EVENTS_OUT_OF_ORDER._value.get() == before + 2


async def test_a_heartbeat_moves_the_position_and_counts_nothing(tmp_path: Path) -> None:
    """Alone and between events; what only looks like one is refused."""
    folded = Folded(tmp_path)
    await folded.start()
    before = HEARTBEAT_DELAY._sum.get()
    await folded.read([heartbeat(NOW_MS - 2_000)])
    await folded.read([event(0), heartbeat(), event(1), (b'{"heartbeat":"x"}', NOW_MS)])
    assert folded.totals(*TOTALS) == (2, 0, 0, 0, 0, 1)
    assert folded.totals("next", "heartbeat_ts_ms", "watermark_ts_ms") == (5, NOW_MS, NOW_MS)
    assert folded.producer.values("freshet.dead-letters") == [b'{"heartbeat":"x"}']
    assert HEARTBEAT_DELAY._sum.get() == before + 2
    assert len(folded.store.changes) == 1


def a_log(seed: int, length: int = 150) -> list[Row]:
    """Return events of few users: some late, some ahead, some twice, between heartbeats."""
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for number in range(length):
        log_ts_ms = NOW_MS + 60_000 * number
        lag_ms = int(rng.choice([0, 9_000, 2 * LATE_MS, -2 * MAX_FUTURE_MS]))
        user = USERS[rng.integers(0, 4)]
        made.append(event(number, user, log_ts_ms - lag_ms, log_ts_ms=log_ts_ms))
        if rng.random() < 0.2:
            made.append(made[-rng.integers(1, min(len(made), 9) + 1)])
        if rng.random() < 0.1:
            made.append(heartbeat(log_ts_ms))
    return made


@pytest.mark.parametrize("seed", range(3))
async def test_the_totals_do_not_depend_on_the_batches(tmp_path: Path, seed: int) -> None:
    """Record by record, in a few, and all at once."""
    seen = []
    for at_most in (1, 7, 1_000):
        folded = Folded(tmp_path, late_s=LATE_S)
        await folded.start()
        await folded.read(a_log(seed), at_most)
        seen.append((folded.position, folded.users))
    assert seen[0] == seen[1] == seen[2]
    position = seen[0][0]
    assert position["applied"] == 150
    assert all(position[name] > 10 for name in ("clamped", "late", "out_of_order", "duplicates"))


async def test_an_hour_of_disorder_changes_no_count(tmp_path: Path) -> None:
    """Shuffled, nobody is late, and all that is counted of people and items is the same."""
    rng = np.random.default_rng(0)
    made = [event(n, USERS[n % 5], NOW_MS - 24_000 * n, item=f"i{n % 7}") for n in range(150)]
    counts = []
    for order in (np.arange(150), rng.permutation(150)):
        folded = Folded(tmp_path, late_s=LATE_S + 1)
        await folded.start()
        await folded.read([made[row] for row in order], 40)
        types = {name: folded.user(name)["type_counts"].tolist() for name in folded.users}
        counts.append((folded.totals("applied", "late", "watermark_ts_ms"), types))
        assert sorted(times_of_deltas(folded)) == [NOW_MS - 24_000 * n for n in range(149, -1, -1)]
    assert counts[0] == counts[1]
    assert counts[0][0] == (150, 0, NOW_MS)
