"""The item fold: rows of the user folds into item records and transitions, where these stand.

Law: the result does not depend on the order of the rows. Several user partitions feed one item,
and live and replay interleave them otherwise; sums, maxima and samples by priority are the same in
any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, rows_of
from freshet.core.events.schema import CLICK, IMPRESSION
from freshet.core.state.records import (
    COVISIT_CAPACITY,
    COVISIT_DTYPE,
    ITEM_DTYPE,
    TREND_HALF_LIVES_S,
    Records,
)
from online_models.maths.covisitation import priorities
from online_models.maths.trending import bucket_widths_ms
from streams.deltas import ACTIVITY_DTYPE, ADDS_PERSON, ADDS_RATE

_ROW_BYTES = COVISIT_DTYPE.itemsize


RULES_DTYPE = np.dtype(
    [
        ("bucket_ms", "<i8", (len(TREND_HALF_LIVES_S),)),  # width of a bucket in each ring
        ("impression", "<i8"),
        ("click", "<i8"),
        ("adds_person", "<i8"),
        ("adds_rate", "<i8"),
    ],
    align=True,
)
"""All constants of the fold: its compiled loops read none of another module."""


def _rules() -> NDArray[Any]:
    made = np.zeros(1, RULES_DTYPE)
    made["bucket_ms"] = bucket_widths_ms(TREND_HALF_LIVES_S)
    made["impression"], made["click"] = IMPRESSION, CLICK
    made["adds_person"], made["adds_rate"] = ADDS_PERSON, ADDS_RATE
    return made


_RULES = _rules()


def fold_items(items: Records, item: NDArray[np.int64], activity: NDArray[Any]) -> None:
    """Count activity into the records of its items, where these stand.

    Args:
        items: (n,) of `ITEM_DTYPE`, changed.
        item: (a,) row of each activity's item.
        activity: (a,) of `ACTIVITY_DTYPE`.
    """
    _count(items, item, activity, _RULES)


@compiled(
    rows_of(ITEM_DTYPE), rows_of("i8"), rows_of(ACTIVITY_DTYPE, writable=False),
    rows_of(RULES_DTYPE),
)  # fmt: skip
def _count(items: Any, item: NDArray[np.int64], activity: Any, rules: Any) -> None:
    """Count activity row by row; the rings as in `online_models/maths/trending.py`."""
    rule = rules[0]
    for at in range(len(activity)):
        row = activity[at]
        record = items[item[at]]
        ts_ms = row.ts_ms
        record.type_counts[row.type] += 1
        if record.first_ts_ms == 0 or ts_ms < record.first_ts_ms:
            record.first_ts_ms = ts_ms
        if row.adds & rule.adds_person:
            record.people += 1
        if row.adds & rule.adds_rate:
            if row.type == rule.impression:
                record.impressions[row.segment] += 1
            elif row.type == rule.click:
                record.clicks[row.segment] += 1
        weight = np.uint32(row.weight)
        for level in range(len(rule.bucket_ms)):
            buckets = len(record.trend[level])
            bucket = ts_ms // rule.bucket_ms[level]
            head = record.last_ts_ms // rule.bucket_ms[level]
            for emptied in range(max(head + 1, bucket - buckets + 1), bucket + 1):
                record.trend[level, emptied % buckets] = 0
            if bucket > head - buckets:
                record.trend[level, bucket % buckets] += weight
        record.last_ts_ms = max(record.last_ts_ms, ts_ms)


def fold_covisits(
    samples: list[bytes], item: NDArray[np.int64], rows: NDArray[Any], half_life_s: float
) -> list[bytes]:
    """Add transitions to the samples of their items.

    Args:
        samples: (n,) packed transitions of each item, `COVISIT_DTYPE`.
        item: (c,) which sample each row belongs to.
        rows: (c,) of `COVISIT_ROW_DTYPE`.
        half_life_s: a transition so old weighs half.

    Returns:
        (n,) packed transitions; a sample that no row entered is the same object as before.
    """
    new = np.empty(len(rows), COVISIT_DTYPE)
    for field in ("next", "ts_s", "draw", "distance"):
        new[field] = rows[field]
    enters = sample_priorities(new, half_life_s) >= _thresholds(samples, half_life_s)[item]
    order = np.flatnonzero(enters)[np.argsort(item[enters], kind="stable")]
    owner = item[order]
    blob = new[order].tobytes()
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]]) if len(owner) else owner
    ends = np.r_[starts[1:], len(owner)]
    folded = list(samples)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=False):
        row = int(owner[start])
        folded[row] += blob[start * _ROW_BYTES : end * _ROW_BYTES]
    _cut(folded, owner[starts].tolist(), half_life_s)
    return folded


def _cut(samples: list[bytes], grown: Sequence[int], half_life_s: float) -> None:
    """Cut the grown samples to their capacity; a cut sample ends with its smallest priority."""
    full = [row for row in grown if len(samples[row]) >= COVISIT_CAPACITY * _ROW_BYTES]
    if not full:
        return
    rows = np.frombuffer(bytearray().join([samples[row] for row in full]), COVISIT_DTYPE)
    ends = np.cumsum([len(samples[row]) // _ROW_BYTES for row in full])
    _leave_largest(rows, sample_priorities(rows, half_life_s), ends, COVISIT_CAPACITY)
    blob, size = rows.tobytes(), COVISIT_CAPACITY * _ROW_BYTES
    for row, end in zip(full, ends.tolist(), strict=True):
        start = end * _ROW_BYTES - len(samples[row])
        samples[row] = blob[start : start + size]


@compiled(rows_of(COVISIT_DTYPE), rows_of("f8"), rows_of("i8"), numba.int64)
def _leave_largest(
    rows: Any, priority: NDArray[np.float64], ends: NDArray[np.int64], capacity: int
) -> None:
    """Move the `capacity` largest of each sample to its front, the smallest of them the last.

    As `keep_largest` in `online_models/maths/covisitation.py` chooses: of equal ones, that stays
    whose next item has the smaller hash.
    """
    start = 0
    for end in ends:
        # Few are too many, so to look for the smallest of all again and again is quick.
        for last in range(end - 1, start + capacity - 2, -1):
            smallest = start
            for at in range(start + 1, last + 1):
                if priority[at] < priority[smallest] or (
                    priority[at] == priority[smallest] and rows[at].next > rows[smallest].next
                ):
                    smallest = at
            priority[smallest], priority[last] = priority[last], priority[smallest]
            row = rows[smallest : smallest + 1].copy()
            rows[smallest] = rows[last]
            rows[last] = row[0]
        start = end


def sample_priorities(rows: NDArray[Any], half_life_s: float) -> NDArray[np.float64]:
    """Return the sampling keys of packed transitions, (n,)."""
    return priorities(rows["ts_s"], rows["draw"], rows["distance"], half_life_s)


def _thresholds(samples: list[bytes], half_life_s: float) -> NDArray[np.float64]:
    """Return the least priority that a new row needs to enter each sample."""
    full = COVISIT_CAPACITY * _ROW_BYTES
    thresholds = np.full(len(samples), -np.inf)
    rows = [row for row, sample in enumerate(samples) if len(sample) >= full]
    if rows:
        tails = b"".join([samples[row][-_ROW_BYTES:] for row in rows])
        thresholds[rows] = sample_priorities(np.frombuffer(tails, COVISIT_DTYPE), half_life_s)
    return thresholds
