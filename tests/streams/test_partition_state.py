"""The position of a partition in memory: what comes next, and what has been lost."""

from __future__ import annotations

import pytest

from freshet.core.errors import PositionError
from streams.partition_state import PartitionState
from streams.record_batch import RecordBatch
from streams.store import NO_POSITION


def batch(start: int, *offsets: int) -> RecordBatch:
    """Records, read from `start` on."""
    n = len(offsets)
    return RecordBatch("t", 0, start, offsets, [None] * n, [b"x"] * n, [0] * n)


def offsets(state: PartitionState, given: RecordBatch) -> list[int] | None:
    """What of a batch is new."""
    rest = state.unapplied(given)
    return None if rest is None else list(rest.offsets)


def test_without_a_position_everything_is_new() -> None:
    """Wherever the log begins."""
    state = PartitionState("t-0", {})
    assert (state.next, state.lost) == (NO_POSITION, 0)
    assert offsets(state, batch(7, 7, 8)) == [7, 8]


@pytest.mark.parametrize(
    ("given", "new"),
    [
        (batch(5, 5, 6), [5, 6]),
        (batch(5, 8), [8]),  # a hole of compaction
        (batch(3, 3, 4), None),
        (batch(3, 3, 4, 5), [5]),
        (batch(0, 4), None),
        (batch(4, 4, 9), [9]),
    ],
)
def test_only_what_comes_next_is_new(given: RecordBatch, new: list[int] | None) -> None:
    """At position 5."""
    assert offsets(PartitionState("t-0", {"next": 5}), given) == new


def test_a_gap_is_an_error() -> None:
    """It says where the partition is, and where reading went on."""
    with pytest.raises(PositionError) as caught:
        PartitionState("t-0", {"next": 5}).unapplied(batch(6, 6))
    assert (caught.value.found, caught.value.expected) == (5, 6)


def test_a_log_that_dropped_what_was_next_is_read_from_its_start() -> None:
    """And what it dropped is lost, once."""
    state = PartitionState("t-0", {"next": 5, "applied": 5}, log_start=8)
    assert state.lost == 3
    assert offsets(state, batch(8, 8, 9)) == [8, 9]
    state.position = state.moved(10, applied=2)
    assert state.position == {"next": 10, "applied": 7, "lost": 3}
    assert state.lost == 0
    assert state.moved(11)["lost"] == 3


def test_moving_changes_no_position_that_was_given() -> None:
    """What Redis has stays as it was until the script has run."""
    position = {"next": 5, "applied": 5, "watermark_ts_ms": 9}
    state = PartitionState("t-0", position)
    assert state.moved(6, applied=1, rejected=0) == {
        "next": 6, "applied": 6, "rejected": 0, "watermark_ts_ms": 9,
    }  # fmt: skip
    assert position == {"next": 5, "applied": 5, "watermark_ts_ms": 9}
