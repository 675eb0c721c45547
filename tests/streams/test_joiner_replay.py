"""Law 4 for the joiner: what waits does not depend on the batches in which events are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from freshet.core.events.codec import encode
from freshet.core.events.examples import OUTCOME_DTYPE
from freshet.core.events.partition import partition_of
from freshet.core.events.schema import Event
from freshet.core.settings import Settings
from streams.fold_shell import FoldContext
from streams.item_vectors import LiveVectors
from streams.joiner_shell import JoinerShell
from streams.memory_store import MemoryStore
from streams.record_batch import RecordBatch
from streams.user_shell import UserShell

from .conftest import NOW_MS, PARTITIONS, MemoryProducer

PARTITION = 2
USERS = [f"u{n}" for n in range(99) if partition_of(f"u{n}", PARTITIONS) == PARTITION]
WINDOW_S = 100
SPAN_S = 1_000  # ten windows, so that most waits are over in the end
N_EVENTS = 2_000


def log(seed: int) -> list[bytes]:
    """Events of which some answer a list, often the same one, early and late and out of order."""
    rng = np.random.default_rng(seed)
    times_s = np.sort(rng.uniform(0, SPAN_S, N_EVENTS)) + rng.normal(0, 5, N_EVENTS)
    made = []
    for number, at_s in enumerate(times_s.tolist()):
        answered = rng.random() < 0.3
        made.append(
            Event(
                event_id=f"e{number}",
                type="click",
                user_id=str(rng.choice(USERS)),
                item_id=f"i{number % 9}",
                ts_ms=NOW_MS + int(1000 * at_s),
                request_id=f"r{rng.integers(0, 40)}" if answered else None,
            )
        )
    return [encode(event) for event in made]


def batch(topic: str, values: Sequence[bytes | None], start: int) -> RecordBatch:
    offsets = list(range(start, start + len(values)))
    n = len(values)
    times = [NOW_MS + 1000 * SPAN_S] * n
    return RecordBatch(topic, PARTITION, start, offsets, [None] * n, values, times)


async def waiting(
    models: Path, values: Sequence[bytes], events_at_once: int, records_at_once: int, kills: int = 0
) -> tuple[dict[str, list[Any]], int]:
    """What waits in the end: rows of each answer without their offsets, and the time told so far.

    Args:
        models: where no bundle is.
        values: events.
        events_at_once: in a batch of the user fold.
        records_at_once: in a batch of the joiner.
        kills: how often the workers are killed on the way, before they have told what they wrote.
    """
    store, producer = MemoryStore(), MemoryProducer()
    settings = msgspec.structs.replace(Settings(), join_window_s=WINDOW_S)
    parts: Any = (settings, PARTITIONS, store, producer, lambda: NOW_MS)
    context = FoldContext(*parts)
    users = UserShell(context, LiveVectors(models))
    at = await users.start(PARTITION, 0)
    kill_at = [len(values) * kill // (kills + 1) for kill in range(1, kills + 1)]
    while at < len(values):
        piece = values[at : at + events_at_once]
        if kill_at and at >= kill_at[0]:
            kill_at.pop(0)
            before = len(producer.records)
            await users.apply([batch(users.topic, piece, at)])
            del producer.records[before:]  # it died before it told: the next one does
            users = UserShell(context, LiveVectors(models))
            at = await users.start(PARTITION, 0)
            continue
        await users.apply([batch(users.topic, piece, at)])
        at += len(piece)
    joiner = JoinerShell(context)
    at = await joiner.start(PARTITION, 0)
    told = producer.values(joiner.topic)
    for start in range(at, len(told), records_at_once):
        await joiner.apply([batch(joiner.topic, told[start : start + records_at_once], start)])
        if kills:  # and the joiner is another one each time
            joiner = JoinerShell(context)
            await joiner.start(PARTITION, 0)
    found = store.hashes.get(context.keys.outcomes(PARTITION), {})
    return {
        name: [row[1:] for row in decode(blob)] for name, blob in sorted(found.items())
    }, store.positions[context.keys.slate_position(PARTITION)]["watermark_ts_ms"]


def decode(blob: bytes) -> list[tuple[Any, ...]]:
    """Rows of outcomes."""
    rows: list[tuple[Any, ...]] = np.frombuffer(blob, OUTCOME_DTYPE).tolist()
    return rows


@pytest.mark.parametrize("seed", range(3))
async def test_what_waits_does_not_depend_on_the_batches(tmp_path: Path, seed: int) -> None:
    """One event at a time, many, or all at once: the same rows, the same time."""
    values = log(seed)
    slow = await waiting(tmp_path, values, 1, 1)
    assert len(slow[0]) > 10
    assert slow[1] > NOW_MS + 900 * SPAN_S
    for events_at_once, records_at_once in ((7, 3), (173, 1), (500, 99), (N_EVENTS, 1)):
        assert await waiting(tmp_path, values, events_at_once, records_at_once) == slow


async def test_what_waits_does_not_depend_on_deaths(tmp_path: Path) -> None:
    """What a worker had written and not told, the next one tells; what it had told counts once."""
    values = log(9)
    assert await waiting(tmp_path, values, 100, 5, kills=6) == await waiting(
        tmp_path, values, 37, 8
    )
