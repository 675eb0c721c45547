"""How sure a difference is: the paired block bootstrap, and Holm's correction.

Requests of one user, and of one day, succeed and fail together. What is drawn anew is therefore
not a request but a block of them: a group of users on one day, or a user on all days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1_000
LEVEL: Final = 0.95
USER_BLOCKS: Final = 32
LEAST_BLOCKS: Final = 10
"""Fewer blocks say nothing about how blocks differ."""

_DAY_MS: Final = 86_400_000
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / the golden ratio: Fibonacci hashing

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean minus another one, with intervals.

    Attributes:
        absolute: the difference.
        low: of the interval of `absolute`; nan where there are fewer than `LEAST_BLOCKS` blocks.
        high: likewise.
        relative: the difference over the other mean; nan where that is 0.
        relative_low: of the interval of `relative`; nan also where a resample's other mean is 0.
        relative_high: likewise.
        p: two-sided; 1 where the intervals are nan for want of blocks.
    """

    absolute: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    p: float


def blocks_of(
    users: NDArray[np.int64], ts_ms: NDArray[np.int64], user_blocks: int = USER_BLOCKS
) -> NDArray[np.int64]:
    """Return (n,) the block of each request: its day (UTC) and the hash of its user.

    Args:
        users: (n,) numbers of users, from 0.
        ts_ms: (n,) event times.
        user_blocks: into how many blocks the users of a day fall.

    >>> blocks_of(np.array([3, 3, 3]), np.array([0, 1, 86_400_000]), 4).tolist()
    [0, 0, 4]
    """
    hashed = (users.astype(np.uint64) * _GOLDEN) >> np.uint64(32)  # the upper half is mixed
    return ts_ms // _DAY_MS * user_blocks + (hashed % np.uint64(user_blocks)).astype(np.int64)


def paired_difference(
    mine: NDArray[Any],
    theirs: NDArray[Any],
    blocks: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return mean(mine) - mean(theirs) with percentile intervals of a paired block bootstrap.

    As many blocks as there are are drawn with replacement, each with all its requests, and the
    difference of the pooled means is taken (Efron and Tibshirani 1993, chapters 8.6 and 13.3;
    Davison and Hinkley 1997, section 3.8). The p-value is twice the smaller share of resamples on
    either side of 0, each side counting one more (Davison and Hinkley, equation 4.11).

    Args:
        mine: (n,) values of the requests, n > 0.
        theirs: (n,) values of the same requests.
        blocks: (n,) the block of each.
        rng: draws the blocks.
        resamples: how often.

    >>> mine, theirs = np.full(40, 0.5), np.full(40, 0.4)
    >>> found = paired_difference(mine, theirs, np.arange(40), np.random.default_rng(0))
    >>> round(found.low, 6), round(found.relative_high, 6), found.p < 0.01
    (0.1, 0.25, True)
    """
    columns = np.stack([mine - theirs, theirs, np.ones(len(mine))]).astype(np.float64)
    gain, base, size = columns.sum(axis=1)
    absolute, relative = float(gain / size), float(gain / base) if base else np.nan
    sums = _block_sums(columns, blocks)
    if len(sums) < LEAST_BLOCKS:
        return Difference(absolute, np.nan, np.nan, relative, np.nan, np.nan, 1.0)
    gains, bases, sizes = _resampled(sums, rng, resamples).T  # (resamples,) each
    outside = np.array([0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    low, high = np.quantile(gains / sizes, outside)
    ratios = np.divide(gains, bases, out=np.full(resamples, np.nan), where=bases > 0)
    relative_low, relative_high = np.quantile(ratios, outside)
    rarer = min(np.count_nonzero(gains <= 0), np.count_nonzero(gains >= 0))
    return Difference(
        absolute,
        float(low),
        float(high),
        relative,
        float(relative_low),
        float(relative_high),
        p=float(min(2 * (rarer + 1) / (resamples + 1), 1)),
    )


def most_cautious(differences: Sequence[Difference]) -> Difference:
    """Return the one with the widest interval; an unknown interval is wider than any.

    Several ways to cut requests into blocks are all valid and catch different dependence; nobody
    knows beforehand which one a log has.

    >>> sure = Difference(0.1, 0.08, 0.12, 0.2, 0.16, 0.24, 0.002)
    >>> less = Difference(0.1, 0.05, 0.15, 0.2, 0.10, 0.30, 0.002)
    >>> most_cautious([sure, less]) == less
    True
    """
    return max(differences, key=lambda each: np.nan_to_num(each.high - each.low, nan=np.inf))


def holm(p_values: NDArray[np.float64]) -> Floats:
    """Return p-values corrected for there being m of them (Holm 1979, section 2).

    Args:
        p_values: (m,) in any order.

    Returns:
        (m,) in the same order; each below a level only where Holm's procedure rejects at it.

    >>> holm(np.array([0.04, 0.01, 0.03])).tolist()
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected


def _block_sums(columns: Floats, blocks: NDArray[np.int64]) -> Floats:
    """Return (n_blocks, c) sums of the (c, n) columns over each block."""
    _, block = np.unique(blocks, return_inverse=True)
    return np.stack([np.bincount(block, column) for column in columns], axis=1)


def _resampled(sums: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return (resamples, c) totals of blocks drawn with replacement."""
    n = len(sums)
    drawn = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples))
    return np.stack([times @ sums for times in drawn])
