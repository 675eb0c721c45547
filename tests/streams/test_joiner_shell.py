"""The joiner as a fold: each answer comes out once, whatever ends the worker and whenever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from freshet.core.errors import PositionError, ServiceError
from freshet.core.events.examples import OUTCOME_DTYPE, Example, decode_example
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import TYPE_CODES, Slate, Slot
from freshet.core.settings import Settings
from streams.fold_shell import FoldContext
from streams.joiner_shell import JoinerShell
from streams.outcomes import Outcomes, encode_outcomes
from streams.record_batch import RecordBatch

from .conftest import NOW_MS, PARTITIONS, MemoryProducer

PARTITION = 1
WINDOW_MS = 1000 * Settings().join_window_s


def slate(number: int) -> bytes:
    slots = [
        Slot(item_id=item, position=at, score=0.0, source="new", reason="", propensity=1.0,
             explored=False)
        for at, item in enumerate("ab")
    ]  # fmt: skip
    answer = Slate(
        request_id=f"r{number}", user_id="u", ts_ms=NOW_MS + number, policy="p", model_version="m",
        quality="full", feature_schema="f", slots=slots, features=b"",
    )  # fmt: skip
    return msgspec.json.encode(answer)


def click(offset: int, number: int) -> bytes:
    row = np.zeros(1, OUTCOME_DTYPE)
    row["offset"], row["type"], row["ts_ms"] = offset, TYPE_CODES["click"], NOW_MS + number
    row["item"] = item_hashes(["b"])[0]
    return encode_outcomes(Outcomes(NOW_MS + number, [f"r{number}"], [row.tobytes()]))


def over(number: int) -> bytes:
    """The time at which the wait of an answer is over."""
    return encode_outcomes(Outcomes(NOW_MS + number + WINDOW_MS))


LOG = [slate(0), slate(1), click(0, 0), slate(2), click(1, 2), over(0), click(2, 1), over(2)]


async def apply(shell: JoinerShell, log: Sequence[bytes], start: int, end: int) -> None:
    values, offsets = log[start:end], list(range(start, end))
    n = len(values)
    await shell.apply(
        [RecordBatch("freshet.slates", PARTITION, start, offsets, [b"u"] * n, values, [NOW_MS] * n)]
    )


async def started(context: FoldContext) -> JoinerShell:
    shell = JoinerShell(context)
    await shell.start(PARTITION, 0)
    return shell


def examples(context: FoldContext) -> list[Example]:
    producer: Any = context.producer
    return [decode_example(raw) for raw in producer.values("freshet.examples", PARTITION)]


async def test_answers_come_out_with_their_outcomes(context: FoldContext) -> None:
    """State is empty afterwards, and the totals add up."""
    shell = await started(context)
    await apply(shell, LOG, 0, len(LOG))
    found = examples(context)
    assert [each.request_id for each in found] == ["r0", "r1", "r2"]
    assert [each.name for each in found] == [(5, 0), (7, 0), (7, 1)]
    assert all(each.had("click").tolist() == [False, True] for each in found)
    store: Any = context.store
    assert not any(store.hashes.values())
    position = await context.store.position(shell.position_key(PARTITION))
    assert (position["next"], position["complete"], position["passed"]) == (8, 3, 3)
    assert store.changes == []


@pytest.mark.parametrize("cut", range(len(LOG) + 1))
async def test_a_worker_that_takes_over_reads_what_waits(context: FoldContext, cut: int) -> None:
    """Wherever the one before it ended."""
    await apply(await started(context), LOG, 0, cut) if cut else None
    again = JoinerShell(context)
    assert await again.start(PARTITION, 0) == cut
    if cut < len(LOG):
        await apply(again, LOG, cut, len(LOG))
    assert [each.name for each in examples(context)] == [(5, 0), (7, 0), (7, 1)]


async def test_a_crash_before_the_write_emits_the_same_again(context: FoldContext) -> None:
    """The examples were acknowledged, the state was not written: names tell that it is a repeat."""
    store: Any = context.store
    crashing = await started(context)
    await apply(crashing, LOG, 0, 3)
    position = dict(store.positions[crashing.position_key(PARTITION)])
    store.positions[crashing.position_key(PARTITION)] = {"next": 77}  # as if rewound meanwhile
    with pytest.raises(PositionError):
        await apply(crashing, LOG, 3, len(LOG))
    first = examples(context)
    assert len(first) == 3
    store.positions[crashing.position_key(PARTITION)] = position
    again = await started(context)
    for at in range(3, len(LOG)):  # other batches than before
        await apply(again, LOG, at, at + 1)
    assert examples(context) == first + first


async def test_a_broker_that_is_away_stops_before_the_state(context: FoldContext) -> None:
    """No answer ceases to wait unless its example is kept."""
    producer: Any = context.producer
    assert isinstance(producer, MemoryProducer)
    shell = await started(context)
    await apply(shell, LOG, 0, 5)
    producer.failing = True
    with pytest.raises(ServiceError, match="not delivered"):
        await apply(shell, LOG, 5, 6)
    store: Any = context.store
    assert len(store.hashes[context.keys.slates(PARTITION)]) == 3


async def test_a_batch_that_comes_again_changes_nothing(context: FoldContext) -> None:
    """Whole or in part."""
    shell = await started(context)
    await apply(shell, LOG, 0, 6)
    await apply(shell, LOG, 0, 6)
    await apply(shell, LOG, 4, len(LOG))
    assert [each.name for each in examples(context)] == [(5, 0), (7, 0), (7, 1)]


async def test_what_is_no_answer_is_set_aside(context: FoldContext) -> None:
    """Its neighbours are joined."""
    log = [slate(0), b'{"request_id": 1}', b"", b"\xff", click(0, 0), over(0)]
    shell = await started(context)
    await apply(shell, log, 0, len(log))
    assert [each.request_id for each in examples(context)] == ["r0"]
    producer: Any = context.producer
    letters = [r for r in producer.records if r.topic == "freshet.dead-letters"]
    reasons = [dict(each.headers)["freshet.dead-letter.reason"].decode() for each in letters]
    assert reasons == ["undecodable", "empty", "undecodable"]


async def test_partitions_do_not_meet(context: FoldContext) -> None:
    """Each has its own clock and its own answers."""
    shell = JoinerShell(context)
    for partition in range(PARTITIONS):
        await shell.start(partition, 0)
    batches = [
        RecordBatch("freshet.slates", each, 0, [0, 1], [b"u"] * 2, [*LOG[:1], last], [NOW_MS] * 2)
        for each, last in ((0, click(0, 0)), (1, over(0)))
    ]
    await shell.apply(batches)
    store: Any = context.store
    assert len(store.hashes[context.keys.slates(0)]) == 1
    assert not store.hashes[context.keys.slates(1)]
    assert examples(context) == []
