"""Pacing: how much may be in flight, and what is an error."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import ServiceError
from freshet.core.progress import FoldProgress
from replay.pacing import MOST_IN_FLIGHT, Pacer, applied_by_both


def _progress(next_: list[int], ends: list[int], starts: list[int] | None = None,
              **fields: int) -> FoldProgress:  # fmt: skip
    return FoldProgress(
        [{"next": each} | fields for each in next_],
        np.array(starts or [0] * len(ends)),
        np.array(ends),
    )


class _Reader:
    """Folds of two partitions that apply some events whenever somebody sleeps."""

    def __init__(self, per_sleep: int) -> None:
        self.per_sleep = per_sleep
        self.applied = 0
        self.starts = [0, 0]
        self.now_s = 0.0
        self.sleeps = 0

    def read(self, fold: str) -> FoldProgress:
        """Return where a fold stands; the item folds keep up."""
        if fold == "users":
            return _progress([self.applied] * 2, [0, 0], self.starts)
        return _progress([7, 7], [7, 7])

    def positions(self, fold: str) -> list[dict[str, int]]:
        """Return what the folds have written."""
        return [{"next": self.applied}] * 2

    def drained(self) -> bool:
        """Return whether all is done."""
        return self.applied >= 100

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.sleeps += 1
        self.now_s += seconds
        self.applied += self.per_sleep


def _pacer(reader: Any) -> Pacer:
    return Pacer(reader, clock=lambda: reader.now_s, sleep=reader.sleep, stalled_s=1.0)


def test_heartbeats_are_no_progress() -> None:
    """The offsets move, and nothing that was waited for comes."""

    class Beating(_Reader):
        def positions(self, fold: str) -> list[dict[str, int]]:
            return [{"next": self.sleeps, "heartbeat_ts_ms": self.sleeps, "applied": 3}]

    with pytest.raises(ServiceError, match="stand still"):
        _pacer(Beating(0)).wait_until_drained()


def test_nothing_sent_waits_for_nothing() -> None:
    """The first chunk goes at once."""
    reader = _Reader(0)
    _pacer(reader).wait_for_room()
    assert reader.sleeps == 0


def test_a_full_partition_waits_until_it_has_room() -> None:
    """One full partition is enough, however empty the others are."""
    reader = _Reader(100)
    pacer = _pacer(reader)
    pacer.note_sent(np.zeros(MOST_IN_FLIGHT + 250, int), 10)
    pacer.wait_for_room()
    assert reader.sleeps == 3
    assert pacer.in_flight == MOST_IN_FLIGHT + 250 - 2 * 300


def test_large_events_leave_less_room() -> None:
    """The bound is in bytes, and never below one event."""
    pacer = _pacer(_Reader(1))
    assert pacer.limit == MOST_IN_FLIGHT
    pacer.note_sent(np.array([0]), 16_384)
    assert pacer.limit == 4_000_000 // (16_384 + 100)
    pacer.note_sent(np.array([0]), 10**9)
    assert pacer.limit == 1


def test_folds_that_stand_still_are_an_error() -> None:
    """After a while, with what to do."""
    reader = _Reader(0)
    pacer = _pacer(reader)
    pacer.note_sent(np.zeros(MOST_IN_FLIGHT, int), 10)
    with pytest.raises(ServiceError, match=r"stand still for 1 s.*freshet worker"):
        pacer.wait_for_room()
    assert 1.0 < reader.now_s < 1.1


def test_slow_folds_are_no_error() -> None:
    """They may take longer in all than they may stand still."""
    reader = _Reader(1)
    pacer = _pacer(reader)
    pacer.note_sent(np.zeros(MOST_IN_FLIGHT + 499, int), 10)
    pacer.wait_for_room()
    assert reader.now_s > 2.0


def test_a_hole_is_an_error() -> None:
    """The broker dropped what nobody had read."""
    reader = _Reader(1)
    reader.starts = [0, 5]
    with pytest.raises(ServiceError, match=r"partition 1 begins at offset 5.*come to 0"):
        _pacer(reader).wait_for_room()


def test_draining_waits_until_the_reader_says_so() -> None:
    """Then nothing is in flight."""
    reader = _Reader(10)
    pacer = _pacer(reader)
    pacer.in_flight = 9
    pacer.wait_until_drained()
    assert (reader.sleeps, pacer.in_flight) == (10, 0)


def _cases() -> Iterator[tuple[str, FoldProgress, list[int]]]:
    yield "item folds at the end", _progress([3, 3], [3, 3]), [10, 20]
    yield "behind, sources unknown", _progress([2, 3], [3, 3]), [0, 0]
    sources = {"source:0": 8, "source:1": 30}
    yield "behind, sources known", _progress([2, 2], [3, 3], **sources), [8, 20]


@pytest.mark.parametrize(("items", "expected"), [case[1:] for case in _cases()],
                         ids=[case[0] for case in _cases()])  # fmt: skip
def test_applied_by_both_is_what_the_slower_fold_has(
    items: FoldProgress, expected: list[int]
) -> None:
    """Of an item fold that is behind, the positions of its sources count."""
    users = _progress([10, 20], [10, 20])
    assert applied_by_both(users, items).tolist() == expected
