"""Fetches keep a pace where that joins records, and only there."""

from __future__ import annotations

import pytest

from streams.pace import Pace


def kept(records: int, every_s: float, seconds: float = 2.0) -> bool:
    """What is judged after so many records came regularly for so long."""
    pace, found = Pace(wait_ms=5), False
    for step in range(int(seconds / every_s)):
        found = pace.is_kept(records, 100 + step * every_s)
    return found


@pytest.mark.parametrize(
    ("records", "every_s", "expected"),
    [(1, 0.001, True), (50, 0.005, True), (2, 0.005, True), (1, 0.02, False), (1, 0.1, False),
     (8, 1.0, False), (0, 0.005, False)],
)  # fmt: skip
def test_the_rate_decides(records: int, every_s: float, expected: bool) -> None:
    """Some 200 records a second, where a fetch waits for 5 ms; heartbeats are far below."""
    assert kept(records, every_s) is expected


def test_a_burst_is_over_soon() -> None:
    """Behind it a single record is answered at once again."""
    pace = Pace(wait_ms=5)
    assert pace.is_kept(10_000, 1.0)
    assert pace.is_kept(0, 1.2)
    assert not pace.is_kept(0, 3.0)


def test_the_first_records_are_not_held_up() -> None:
    """Nothing came before."""
    assert not Pace(wait_ms=5).is_kept(1, 1e6)
