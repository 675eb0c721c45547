"""The loops of the deduplication, compiled; see `streams/deduplication.py` for its law.

A ring holds what was accepted last, by number: entry j (from 0) stands in place j modulo the ring's
length, with the watermark at which it was accepted. Slots find an id's place by open addressing;
a slot holds a place plus 1, 0 when it is free. A slot whose place holds another id by now is
passed over, and goes when the slots are filled again.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, part, rows_of
from freshet.core.state.records import USER_DTYPE

LIMITS_DTYPE = np.dtype(
    [
        ("floor", "<i8"),  # so many of the last are remembered whatever the time is
        ("most", "<i8"),  # no more than so many are remembered
        ("window_s", "<i8"),  # of the watermark, between the floor and the most
    ],
    align=True,
)

Ids = NDArray[np.uint64]
Marks = NDArray[np.uint32]
Slots = NDArray[np.uint32]


@part
def _slot(ids: Ids, slots: Slots, event_id: Any) -> Any:
    """Return the slot of an id, or the free one where it belongs."""
    mask = len(slots) - 1
    at = np.int64(event_id & np.uint64(mask))
    while slots[at] != 0 and ids[np.int64(slots[at]) - 1] != event_id:
        at = (at + 1) & mask
    return at


@part
def _is_remembered(
    ids: Ids, marks: Marks, slots: Slots, end: int, event_id: Any, watermark_s: int, limits: Any
) -> Any:
    """Tell whether an id is among what was accepted lately."""
    place = np.int64(slots[_slot(ids, slots, event_id)]) - 1
    if place < 0:
        return False
    age = ((end - 1 - place) & (len(ids) - 1)) + 1
    in_time = watermark_s - np.int64(marks[place]) <= limits.window_s
    return age <= limits.floor or (age <= limits.most and in_time)


@part
def _remember(
    ids: Ids, marks: Marks, slots: Slots, end: int, event_id: int, watermark_s: int
) -> int:
    """Write an id into the ring as number `end`; return how many slots that took, 0 or 1."""
    place = end & (len(ids) - 1)
    ids[place] = event_id
    marks[place] = watermark_s
    at = _slot(ids, slots, event_id)
    taken = slots[at] == 0
    slots[at] = place + 1
    return int(taken)


@part
def _was_recent(user: Any, event: int) -> bool:
    """Tell whether the record of a user names an event among the last of the user."""
    for recent in user.recent_events:  # noqa: SIM110 - numba knows no generators
        if recent == event:
            return True
    return False


@compiled(
    rows_of(USER_DTYPE), rows_of("i8"), rows_of("u8"), rows_of("u8"), rows_of("?"), rows_of("?"),
    rows_of("i8"), numba.int64, rows_of(LIMITS_DTYPE), rows_of("u8"), rows_of("u4"), rows_of("u4"),
    rows_of("u8"), rows_of("u4"), rows_of("u4"), rows_of("i8"), rows_of("?"),
)  # fmt: skip
def find_copies(
    users: Any,
    user: NDArray[np.int64],
    events: NDArray[np.uint64],
    event_ids: NDArray[np.uint64],
    impressions: NDArray[np.bool_],
    gone: NDArray[np.bool_],
    ts_ms: NDArray[np.int64],
    watermark_ms: int,
    all_limits: Any,
    acted: Ids,
    acted_marks: Marks,
    acted_slots: Slots,
    shown: Ids,
    shown_marks: Marks,
    shown_slots: Slots,
    counters: NDArray[np.int64],
    copies: NDArray[np.bool_],
) -> int:
    """Note which events were accepted before, and remember the others.

    Args:
        users: records.
        user: (n,) row of each event's user.
        events: (n,) hash of each event id, as records of users keep it.
        event_ids: (n,) hash of each event id and its user.
        impressions: (n,) whether each is one.
        gone: (n,) whether each is of a user who was erased, and neither counts nor is remembered.
        ts_ms: (n,) event times, none of them too far ahead.
        watermark_ms: newest time of an event that was accepted before.
        all_limits: (1,) of `LIMITS_DTYPE`.
        acted: ring of what is no impression, with its marks in seconds and its slots.
        acted_marks: see `acted`.
        acted_slots: see `acted`.
        shown: ring of the impressions.
        shown_marks: see `shown`.
        shown_slots: see `shown`.
        counters: (4,) how many were accepted ever and slots in use, of both rings; brought up to
            date.
        copies: (n,) written.

    Returns:
        The watermark behind the last event.
    """
    limits = all_limits[0]
    acted_end, acted_used = counters[0], counters[1]
    shown_end, shown_used = counters[2], counters[3]
    for at in range(len(event_ids)):
        if gone[at]:
            continue
        each, is_shown = event_ids[at], impressions[at]
        watermark_s = watermark_ms // 1000
        copies[at] = (
            _was_recent(users[user[at]], events[at])
            or _is_remembered(acted, acted_marks, acted_slots, acted_end, each, watermark_s, limits)
            or _is_remembered(shown, shown_marks, shown_slots, shown_end, each, watermark_s, limits)
        )
        if copies[at]:
            continue
        watermark_ms = max(watermark_ms, ts_ms[at])
        watermark_s = watermark_ms // 1000
        if is_shown:
            shown_used += _remember(shown, shown_marks, shown_slots, shown_end, each, watermark_s)
            shown_end += 1
        else:
            acted_used += _remember(acted, acted_marks, acted_slots, acted_end, each, watermark_s)
            acted_end += 1
    counters[0], counters[1] = acted_end, acted_used
    counters[2], counters[3] = shown_end, shown_used
    return watermark_ms


@compiled(rows_of("u8"), rows_of("u4"), numba.int64, numba.int64)
def fill_slots(ids: Ids, slots: Slots, tail: int, end: int) -> int:
    """Fill slots anew with the entries from `tail` to `end`; return how many are in use."""
    slots[:] = 0
    used = 0
    for number in range(tail, end):
        place = number & (len(ids) - 1)
        if ids[place] == 0:
            continue
        at = _slot(ids, slots, ids[place])
        used += slots[at] == 0
        slots[at] = place + 1
    return used


@compiled(rows_of("u4"), numba.int64, numba.int64, numba.int64, rows_of(LIMITS_DTYPE))
def first_remembered(marks: Marks, tail: int, end: int, watermark_ms: int, all_limits: Any) -> int:
    """Return the number of the oldest entry that is remembered, `end` when there is none."""
    limits = all_limits[0]
    watermark_s = watermark_ms // 1000
    while end - tail > limits.floor and (
        end - tail > limits.most
        or watermark_s - np.int64(marks[tail & (len(marks) - 1)]) > limits.window_s
    ):
        tail += 1
    return tail


@compiled(
    rows_of("u8"), rows_of("u4"), numba.int64, numba.int64, numba.int64, rows_of("u1"),
    rows_of("i8"),
)  # fmt: skip
def pack_blocks(
    ids: Ids, marks: Marks, first: int, end: int, size: int, out: NDArray[np.uint8],
    lengths: NDArray[np.int64],
) -> int:  # fmt: skip
    """Write blocks of entries as Redis keeps them; return the size of all in bytes.

    A block is the number of its entries and of its runs, a byte each; for each run of entries with
    one mark their number, a byte, and the mark, 4 bytes; then the ids, 8 bytes each.

    Args:
        ids: ring of ids.
        marks: of the ids, s.
        first: number of the first block.
        end: number behind the last entry.
        size: entries of a whole block.
        out: large enough.
        lengths: (blocks,) bytes of each block, written.
    """
    at = 0
    for block in range(len(lengths)):
        start = at
        begin = (first + block) * size
        count = min(end - begin, size)
        out[at] = count
        at += 2
        runs = 0
        for number in range(begin, begin + count):
            mark = marks[number & (len(marks) - 1)]
            same = number > begin and mark == marks[(number - 1) & (len(marks) - 1)]
            if not same:
                runs += 1
                out[at] = 0
                for byte in range(4):
                    out[at + 1 + byte] = (mark >> np.uint32(8 * byte)) & np.uint32(0xFF)
                at += 5
            out[at - 5] += 1
        out[start + 1] = runs
        for number in range(begin, begin + count):
            each = ids[number & (len(ids) - 1)]
            for byte in range(8):
                out[at + byte] = (each >> np.uint64(8 * byte)) & np.uint64(0xFF)
            at += 8
        lengths[block] = at - start
    return at
