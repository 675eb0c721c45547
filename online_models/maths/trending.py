"""Trending counters: whole counts in rings of time buckets, decayed only when read.

For each half-life h the time is cut into buckets of h / BUCKETS_PER_HALF_LIFE. A ring keeps the
newest buckets; its head is the bucket of the newest event. Whole counts make the state exact and
its order of arrival irrelevant: an event older than the ring is dropped whenever it arrives,
because by the end its bucket would have left the ring anyway.

The decay is the exponential one of Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay"
(ICDE 2009), evaluated bucket by bucket.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BUCKETS_PER_HALF_LIFE = 4


def bucket_widths_ms(half_lives_s: Sequence[float]) -> NDArray[np.int64]:
    """Return the width of one bucket for each half-life, (h,) ms.

    >>> bucket_widths_ms([60, 3600]).tolist()
    [15000, 900000]
    """
    return (np.asarray(half_lives_s, np.float64) * 1000 / BUCKETS_PER_HALF_LIFE).astype(np.int64)


def add_events(
    trend: NDArray[np.uint32],
    last_ts_ms: NDArray[np.int64],
    item: NDArray[np.int64],
    ts_ms: NDArray[np.int64],
    weight: NDArray[np.uint32],
    half_lives_s: Sequence[float],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Add events to the rings of their items, in any order.

    Args:
        trend: (n, h, b) counts; bucket number m stands in slot m % b.
        last_ts_ms: (n,) newest event time of each item, 0 for an item without events.
        item: (e,) row of each event's item.
        ts_ms: (e,) event times.
        weight: (e,) whole weights.
        half_lives_s: (h,) half-lives.

    Returns:
        The new (n, h, b) counts and (n,) newest event times; the arguments are left as they are.
    """
    newest = last_ts_ms.copy()
    np.maximum.at(newest, item, ts_ms)
    counts = _advanced(trend, last_ts_ms, newest, half_lives_s)
    n_buckets = trend.shape[2]
    for level, width in enumerate(bucket_widths_ms(half_lives_s)):
        bucket = ts_ms // width
        kept = bucket > newest[item] // width - n_buckets
        np.add.at(counts[:, level], (item[kept], bucket[kept] % n_buckets), weight[kept])
    return counts, newest


def _advanced(
    trend: NDArray[np.uint32],
    old_ts_ms: NDArray[np.int64],
    new_ts_ms: NDArray[np.int64],
    half_lives_s: Sequence[float],
) -> NDArray[np.uint32]:
    """Empty the buckets between each ring's old head and its new one."""
    n_buckets = trend.shape[2]
    widths = bucket_widths_ms(half_lives_s)[None, :]  # (1, h)
    old_head = old_ts_ms[:, None] // widths  # (n, h)
    new_head = new_ts_ms[:, None] // widths
    # Emptied is every slot less than `steps` behind the one after the old head; small numbers,
    # because there are 64 of them for each item.
    steps = np.minimum(new_head - old_head, n_buckets).astype(np.int16)  # (n, h)
    first = ((old_head + 1) % n_buckets).astype(np.int16)
    behind = np.arange(n_buckets, dtype=np.int16) - first[..., None]  # (n, h, b)
    behind += np.where(behind < 0, np.int16(n_buckets), np.int16(0))
    return np.where(behind < steps[..., None], np.uint32(0), trend)


def _bucket_in_slot(head: NDArray[np.int64], n_buckets: int) -> NDArray[np.int64]:
    """Return the bucket number that each slot of a ring holds, given the head's: (..., b)."""
    slots = np.arange(n_buckets)
    return np.asarray(head[..., None] - (head[..., None] - slots) % n_buckets)


def trend_rates(
    trend: NDArray[np.uint32],
    last_ts_ms: NDArray[np.int64],
    now_ms: int,
    half_lives_s: Sequence[float],
) -> NDArray[np.float32]:
    """Return the decayed rate of weighted events of each item.

    Args:
        trend: (n, h, b) counts.
        last_ts_ms: (n,) newest event time of each item.
        now_ms: the time to read at, in event time.
        half_lives_s: (h,) half-lives.

    Returns:
        (n, h) weighted events per second: sum over buckets of count * 2^(-age / h) * ln 2 / h.
    """
    n_items, n_levels, n_buckets = trend.shape
    rates = np.empty((n_items, n_levels), np.float32)
    for level, (half_life_s, width) in enumerate(
        zip(half_lives_s, bucket_widths_ms(half_lives_s), strict=True)
    ):
        bucket = _bucket_in_slot(last_ts_ms // width, n_buckets)  # (n, b)
        age_s = np.maximum(now_ms - (bucket * width + width // 2), 0) / 1000
        weight = np.exp2(-age_s / half_life_s)
        rates[:, level] = (trend[:, level] * weight).sum(axis=1) * (np.log(2) / half_life_s)
    return rates
