"""Erasing a person: what came before is forgotten, and stays so; what comes after is new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.core.events.control import user_hash
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import MAX_FUTURE_MS
from freshet.core.metrics import ERASURES, EVENTS_ERASED
from streams.deltas import decode_deltas
from streams.record_batch import RecordBatch

from .conftest import NOW_MS, PARTITIONS
from .user_log import PARTITION, USERS, Folded, Row, erasure, event

ANN, BOB = USERS[:2]
TOTALS = ("next", "applied", "erasures", "erased", "rejected", "duplicates")


def deltas(folded: Folded) -> int:
    """Return how many events were told of; another worker may tell of some once more."""
    values = folded.producer.values("freshet.item-deltas")
    rows = [decode_deltas(raw or b"").activity_rows() for raw in values]
    return len(np.unique(np.concatenate(rows)["offset"]))


async def test_an_erasure_deletes_the_person_and_nobody_else(tmp_path: Path) -> None:
    """The items keep what was counted; only a hash of the id is left."""
    folded = Folded(tmp_path)
    await folded.start()
    before = ERASURES._value.get()
    await folded.read([event(0, ANN), event(1, BOB), erasure(ANN)])
    assert set(folded.users) == {BOB}
    assert folded.erased == {user_hash(ANN): str(NOW_MS).encode()}
    assert folded.totals(*TOTALS) == (3, 2, 1, 0, 0, 0)
    assert deltas(folded) == 2
    assert folded.store.changes[-1][1] == {"users": [ANN], "erased": [ANN]}
    assert ERASURES._value.get() == before + 1


async def test_old_events_stay_out_and_new_ones_begin_anew(tmp_path: Path) -> None:
    """Also in the next worker, which reads from Redis who was erased."""
    folded = Folded(tmp_path)
    await folded.start()
    before = EVENTS_ERASED._value.get()
    await folded.read([event(0, ANN, NOW_MS - 9), erasure(ANN)])
    for number in range(2):
        await folded.read([event(0, ANN, NOW_MS - 9), event(5 + number, ANN), event(9, BOB)])
        assert set(folded.users) == {BOB}
        await folded.start()
    assert folded.totals(*TOTALS) == (8, 2, 1, 4, 0, 1)
    assert deltas(folded) == 2
    assert EVENTS_ERASED._value.get() == before + 4
    await folded.read([event(5, ANN), event(5, ANN, NOW_MS + 1), event(6, ANN, NOW_MS - 1)])
    assert folded.user(ANN)["type_counts"].sum() == 1
    assert folded.totals("applied", "erased", "duplicates") == (3, 6, 1)


async def test_someone_unknown_can_be_erased(tmp_path: Path) -> None:
    """The order may be: first the erasure, then the old events."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([erasure(ANN), event(0, ANN)])
    assert folded.users == {}
    assert folded.totals("erasures", "erased", "applied") == (1, 1, 0)


async def test_an_earlier_erasure_does_not_undo_a_later_one(tmp_path: Path) -> None:
    """What was forgotten up to a time stays so."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([erasure(ANN), erasure(ANN, NOW_MS - 100), event(0, ANN, NOW_MS - 50)])
    assert folded.users == {}
    assert folded.erased == {user_hash(ANN): str(NOW_MS).encode()}


async def test_a_clock_ahead_erases_no_future(tmp_path: Path) -> None:
    """As with events, the time of the log counts then."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([erasure(ANN, NOW_MS + MAX_FUTURE_MS + 1), event(0, ANN, NOW_MS + 1)])
    assert set(folded.users) == {ANN}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"erase":""}', b"invalid"),
        (b'{"erase":"x"}', b"invalid"),
        (b'{"erase":', b"undecodable"),
        (b'{"erase":"\xff","ts_ms":1}', b"undecodable"),
    ],
)
async def test_an_erasure_that_cannot_be_read_is_a_dead_letter(
    tmp_path: Path, value: bytes, reason: bytes
) -> None:
    """It deletes nobody, and its neighbours are counted."""
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([event(0, ANN), (value, NOW_MS), event(1, ANN)])
    (letter,) = [r for r in folded.producer.records if r.topic == "freshet.dead-letters"]
    assert dict(letter.headers)["freshet.dead-letter.reason"] == reason
    assert folded.totals(*TOTALS) == (3, 2, 0, 0, 1, 0)
    assert folded.erased == {}


async def test_an_erasure_in_a_strange_partition_is_a_dead_letter(tmp_path: Path) -> None:
    """The person's events are elsewhere; here it would delete nothing."""
    stranger = next(f"x{n}" for n in range(99) if partition_of(f"x{n}", PARTITIONS) != PARTITION)
    folded = Folded(tmp_path)
    await folded.start()
    await folded.read([erasure(stranger)])
    assert folded.totals("next", "erasures", "rejected") == (1, 0, 1)
    assert folded.erased == {}


async def test_an_erasure_among_other_records_is_a_bug_that_shows(tmp_path: Path) -> None:
    """Batches are cut at erasures before they come here."""
    folded = Folded(tmp_path)
    shell = await folded.start()
    (erase, at), (click, _) = erasure(ANN), event(0, ANN)
    whole = RecordBatch(shell.topic, PARTITION, 0, [0, 1], [b"k"] * 2, [click, erase], [at] * 2)
    with pytest.raises(ValueError, match="by itself"):
        await shell.apply([whole])
    assert folded.users == {}


async def test_who_was_idle_and_forgotten_stays_erased(tmp_path: Path) -> None:
    """The lifetime ends the new history, not the erasure."""
    folded = Folded(tmp_path, user_ttl_s=60)
    shell = await folded.start()
    await folded.read([erasure(ANN), event(0, ANN, NOW_MS + 1), event(1, BOB, NOW_MS + 62_000)])
    assert await shell.forget_idle(PARTITION, 0) == 0
    assert set(folded.users) == {BOB}
    await folded.read([event(2, ANN, NOW_MS)])
    assert set(folded.users) == {BOB}


def a_log(seed: int) -> list[Row]:
    """Return events of few people, some of whom are erased on the way, and some old events."""
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for number in range(200):
        ts_ms = NOW_MS - 200_000 + 1000 * number
        user = USERS[rng.integers(0, 5)]
        old_ms = int(rng.choice([0, 0, 0, 30_000]))
        made.append(event(number, user, ts_ms - old_ms, item=f"i{number % 7}"))
        if rng.random() < 0.05:
            made.append(erasure(user, ts_ms))
    return made


@pytest.mark.parametrize("seed", range(3))
async def test_erasures_do_not_depend_on_the_batches(tmp_path: Path, seed: int) -> None:
    """One by one, a few, all at once, with another worker in between: the same bytes."""
    seen = []
    for at_most, workers in ((1, 1), (7, 3), (1_000, 1)):
        folded = Folded(tmp_path)
        made = a_log(seed)
        size = -(-len(made) // workers)
        for start in range(0, len(made), size):
            await folded.start()
            await folded.read(made[start : start + size], at_most)
        seen.append((folded.position, folded.users, folded.erased, deltas(folded)))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0]["erasures"] > 3
    assert seen[0][0]["erased"] > 3
