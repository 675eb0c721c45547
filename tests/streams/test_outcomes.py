"""What the user fold tells the joiner: each response once, and the time where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from freshet.core.events.codec import encode
from freshet.core.events.control import Erasure, Heartbeat, encode_control
from freshet.core.events.examples import OUTCOME_DTYPE
from freshet.core.events.partition import item_hashes, partition_of
from freshet.core.events.schema import MAX_FUTURE_MS, TYPE_CODES, Event
from freshet.core.settings import Settings
from streams.fold_shell import FoldContext
from streams.item_vectors import LiveVectors
from streams.outcomes import TIMES_TOLD, Outcomes, decode_outcomes
from streams.record_batch import RecordBatch
from streams.user_shell import UserShell

from .conftest import NOW_MS, PARTITIONS

PARTITION = 2
USER = next(f"u{n}" for n in range(99) if partition_of(f"u{n}", PARTITIONS) == PARTITION)
TOPIC = "freshet.slates"
STEP_MS = 1000 * Settings().join_window_s // TIMES_TOLD


def step(ts_ms: int) -> int:
    """The last step of event time that is over."""
    return ts_ms // STEP_MS * STEP_MS


def event(number: int, request_id: str | None = None, **other: Any) -> bytes:
    given = {
        "event_id": f"e{number}", "type": "click", "user_id": USER, "item_id": "a",
        "ts_ms": NOW_MS + number, "request_id": request_id,
    }  # fmt: skip
    return encode(msgspec.convert(given | other, Event))


async def told(context: FoldContext, folder: Path, *rounds: list[bytes]) -> list[Outcomes]:
    """What a user fold tells of rounds of one partition."""
    shell = UserShell(context, LiveVectors(folder))
    start = await shell.start(PARTITION, 0)
    for values in rounds:
        offsets, n = list(range(start, start + len(values))), len(values)
        await shell.apply(
            [RecordBatch("freshet.events", PARTITION, start, offsets, [b"k"] * n, values,
                         [NOW_MS] * n)]
        )  # fmt: skip
        start += n
    producer: Any = context.producer
    assert all(record.partition == PARTITION for record in producer.records
               if record.topic == TOPIC)  # fmt: skip
    return [decode_outcomes(raw) for raw in producer.values(TOPIC)]


def rows_of(message: Outcomes) -> dict[str, list[Any]]:
    return {
        name: np.frombuffer(rows, OUTCOME_DTYPE).tolist()
        for name, rows in zip(message.request_ids, message.rows, strict=True)
    }


async def test_responses_are_told_by_answer(context: FoldContext, tmp_path: Path) -> None:
    """With offset, time, item, value and type; events that name none are left out."""
    ahead = {"ts_ms": NOW_MS + MAX_FUTURE_MS + 1}
    values = [
        event(0, "r"),
        event(1),
        event(2, "s", item_id="b", **ahead),
        event(3, "r", type="dwell", value=2.5),
    ]
    (message,) = await told(context, tmp_path, values)
    a, b = item_hashes(["a", "b"]).tolist()
    click, dwell = TYPE_CODES["click"], TYPE_CODES["dwell"]
    assert rows_of(message) == {
        "r": [(0, NOW_MS, a, 0.0, click), (3, NOW_MS + 3, a, 2.5, dwell)],
        "s": [(2, NOW_MS, b, 0.0, click)],
    }
    assert message.now_ms == step(NOW_MS + 3)


async def test_an_event_that_came_twice_is_told_once(context: FoldContext, tmp_path: Path) -> None:
    """As it is counted once."""
    (message,) = await told(context, tmp_path, [event(0, "r"), event(0, "r")])
    assert len(rows_of(message)["r"]) == 1


async def test_the_time_alone_is_told_once_in_a_step(context: FoldContext, tmp_path: Path) -> None:
    """Where nobody responds; a response is told at once, and the time of a step that is over."""
    begun = step(NOW_MS)
    rounds = [
        [event(0, ts_ms=begun)],
        [event(1, ts_ms=begun + STEP_MS - 1)],
        [event(2, "r", ts_ms=begun + STEP_MS - 1)],
        [event(3, ts_ms=begun + STEP_MS), event(4, ts_ms=begun + 3 * STEP_MS)],
        [event(5, ts_ms=begun + STEP_MS)],
    ]
    messages = await told(context, tmp_path, *rounds)
    assert [(each.now_ms - begun, each.request_ids) for each in messages] == [
        (0, []), (0, ["r"]), (3 * STEP_MS, []),
    ]  # fmt: skip


async def test_the_time_that_is_told_is_that_of_the_events(
    context: FoldContext, tmp_path: Path
) -> None:
    """Whatever the clock says, and however often it is looked at: law 4 for the joiner."""
    ticks = iter(range(0, 10**15, 10**9))
    hasty = replace(context, clock=lambda: next(ticks))
    messages = await told(hasty, tmp_path, [event(0)], [event(1)], [event(2)])
    assert messages == [Outcomes(step(NOW_MS))]


async def test_a_heartbeat_moves_the_time(context: FoldContext, tmp_path: Path) -> None:
    """Where nothing happens, answers do not wait for ever."""
    beats = [encode_control(Heartbeat(NOW_MS + n * STEP_MS)) for n in (0, 1)]
    messages = await told(context, tmp_path, beats[:1], beats[1:])
    assert messages == [Outcomes(step(NOW_MS)), Outcomes(step(NOW_MS) + STEP_MS)]


async def test_an_erasure_is_told(context: FoldContext, tmp_path: Path) -> None:
    """What waits for the person must go too."""
    (message,) = await told(context, tmp_path, [encode_control(Erasure(erase=USER, ts_ms=NOW_MS))])
    assert message.erased == [USER]


async def test_a_crash_before_the_write_tells_again(context: FoldContext, tmp_path: Path) -> None:
    """The same rows under the same offsets, which is how the joiner knows them."""
    first = await told(context, tmp_path, [event(0, "r"), event(1, "r")])
    store: Any = context.store
    store.positions.clear()
    store.hashes.clear()
    both = await told(context, tmp_path, [event(0, "r")], [event(1, "r")])
    again = [row for message in both[1:] for row in rows_of(message)["r"]]
    assert again == rows_of(first[0])["r"]
