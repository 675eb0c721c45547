"""The loops of the deduplication: places, slots and blocks, number by number."""

from __future__ import annotations

import numpy as np

from streams.deduplication_loops import LIMITS_DTYPE, fill_slots, first_remembered, pack_blocks

LIMITS = np.array([(4, 10, 60)], LIMITS_DTYPE)


def test_slots_find_every_id_and_leave_out_what_is_none() -> None:
    """Also where ids begin to look for their slot at the same one."""
    ids = np.array([32, 64, 0, 96, 1, 5, 7, 9], np.uint64)
    slots = np.ones(32, np.uint32)
    assert fill_slots(ids, slots, 0, 8) == 7
    assert sorted(slots[slots > 0].tolist()) == [1, 2, 4, 5, 6, 7, 8]
    assert fill_slots(ids, slots, 3, 3) == 0
    assert not slots.any()


def test_of_two_places_of_an_id_the_newer_is_found() -> None:
    """The older was forgotten before it came again."""
    ids, slots = np.array([5, 6, 5, 7], np.uint64), np.zeros(16, np.uint32)
    assert fill_slots(ids, slots, 0, 4) == 3
    assert sorted(slots[slots > 0].tolist()) == [2, 3, 4]


def test_what_is_remembered_follows_from_number_and_time() -> None:
    """The last four always, ten at most, and between them for a minute."""
    marks = np.full(16, 1_000, np.uint32)
    assert first_remembered(marks, 0, 0, 0, LIMITS) == 0
    assert first_remembered(marks, 0, 4, 9_999_000, LIMITS) == 0
    assert first_remembered(marks, 0, 9, 1_060_000, LIMITS) == 0
    assert first_remembered(marks, 0, 9, 1_061_000, LIMITS) == 5
    assert first_remembered(marks, 0, 12, 1_000_000, LIMITS) == 2


def test_blocks_hold_runs_of_marks_and_the_ids() -> None:
    """One whole block and the begin of the next, in a ring that has turned."""
    ids = np.arange(100, 108, dtype=np.uint64)  # numbers 8 to 15 of a ring of 8
    marks = np.array([1, 1, 2, 2, 2, 3, 3, 3], np.uint32)
    out, lengths = np.zeros(200, np.uint8), np.zeros(2, np.int64)
    size = pack_blocks(ids, marks, 2, 14, 4, out, lengths)
    runs = [(2, 1), (2, 2)], [(1, 2), (1, 3)]
    expected = [
        bytes([sum(count for count, _ in some), len(some)])
        + b"".join(bytes([count]) + mark.to_bytes(4, "little") for count, mark in some)
        + own.astype("<u8").tobytes()
        for some, own in zip(runs, (ids[:4], ids[4:6]), strict=True)
    ]
    assert out[:size].tobytes() == b"".join(expected)
    assert lengths.tolist() == list(map(len, expected))
