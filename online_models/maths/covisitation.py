"""Directional co-visitation in bounded memory: a time-biased sample of the transitions.

For each item we want the decayed number of visits to every other item that followed a visit to it,
within a fixed number of rows, and without depending on the order of arrival (several partitions
feed one item, and a replay interleaves them otherwise). Counters that evict the smallest cannot do
that. A sample by priority can: every transition gets the key

    log2(weight) + ts / half_life - log2(-ln(u)),    u uniform from the event's id,

and an item keeps the transitions with the largest keys. This is weighted reservoir sampling
(Efraimidis and Spirakis, 2006) under forward decay (Cormode et al., 2009): the key does not change
with time, the union of two samples is again cut to the largest keys, and up to the capacity the
sample is simply all transitions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def priorities(
    ts_s: NDArray[np.uint32],
    draw: NDArray[np.uint32],
    distance: NDArray[np.uint8],
    half_life_s: float,
) -> NDArray[np.float64]:
    """Return the sampling key of transitions, larger stays; (n,) float64, see the module.

    Args:
        ts_s: (n,) event times, s.
        draw: (n,) 32 random bits of each event.
        distance: (n,) visits between the two items, from 1; the weight is 1 / distance.
        half_life_s: a transition so old weighs half.
    """
    uniform = (draw.astype(np.float64) + 0.5) / 2.0**32
    log_weight = ts_s / half_life_s - np.log2(np.maximum(distance, 1))
    return np.asarray(log_weight - np.log2(-np.log(uniform)))


def keep_largest(
    group: NDArray[np.int64], priority: NDArray[np.float64], tie: NDArray[Any], capacity: int
) -> NDArray[np.int64]:
    """Return the rows that stay: the `capacity` largest priorities of each group.

    Args:
        group: (n,) item row of each transition.
        priority: (n,) sampling keys.
        tie: (n,) breaks ties between equal keys, so that the choice never depends on the order.
        capacity: most rows of a group.

    Returns:
        Indices of the kept rows, sorted by group, then largest key first.

    >>> keep_largest(np.array([0, 0, 1]), np.array([1.0, 2.0, 0.5]), np.zeros(3), 1).tolist()
    [1, 2]
    """
    order = np.lexsort((tie, -priority, group))
    grouped = group[order]
    first = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    return np.asarray(order[rank < capacity])


def transition_scores(
    next_item: NDArray[np.uint32],
    ts_s: NDArray[np.uint32],
    draw: NDArray[np.uint32],
    distance: NDArray[np.uint8],
    now_s: float,
    half_life_s: float,
    capacity: int,
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Return where an item's visitors went next, from its sample of transitions.

    A sample that is not full holds every transition, and each counts its decayed weight. In a
    full one the smallest key is the threshold t, and a transition of weight w counts
    w / (1 - exp(-w / t)), the unbiased estimate under exponential ranks (Cohen and Kaplan,
    "Summarizing data using bottom-k sketches", 2007, section 4).

    Args:
        next_item: (n,) uint32 hashes of the items visited next.
        ts_s: (n,) event times, s.
        draw: (n,) 32 random bits of each event.
        distance: (n,) visits between the two items, from 1.
        now_s: the time to read at, s.
        half_life_s: a transition so old weighs half.
        capacity: most rows that the sample may hold.

    Returns:
        (m,) distinct items and (m,) decayed numbers of visits, largest first.
    """
    if not len(next_item):
        return np.empty(0, np.uint32), np.empty(0)
    log_weight = (ts_s - float(now_s)) / half_life_s - np.log2(np.maximum(distance, 1))
    weight = np.exp2(log_weight)
    if len(next_item) >= capacity:
        key = priorities(ts_s, draw, distance, half_life_s) - now_s / half_life_s
        threshold = np.exp2(key.min())
        weight = weight / -np.expm1(-weight / threshold)
    items, inverse = np.unique(next_item, return_inverse=True)
    scores = np.bincount(inverse, weights=weight).astype(np.float64)
    order = np.lexsort((items, -scores))
    return items[order], scores[order]
