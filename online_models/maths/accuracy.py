"""How well lists foresaw what came next: functions of the rank of the one right item.

A rank counts from 0; a right item that was not ranked at all has rank -1 and counts as a miss.
Each measure comes as a value for every request, which can be compared in pairs, and as their mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def hits_at(ranks: NDArray[Any], k: int) -> Floats:
    """Return (n,) 1 where the first k hold the right item, else 0.

    With one right item this is recall, and the hit rate.

    >>> hits_at(np.array([0, 4, 25, -1]), 20).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    return _within(ranks, k).astype(np.float64)


def reciprocal_ranks_at(ranks: NDArray[Any], k: int) -> Floats:
    """Return (n,) 1 / place of the right item, 0 beyond the first k (Voorhees 1999).

    >>> reciprocal_ranks_at(np.array([0, 1, 25, -1]), 20).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    return np.where(_within(ranks, k), 1 / (np.maximum(ranks, 0) + 1.0), 0.0)


def gains_at(ranks: NDArray[Any], k: int) -> Floats:
    """Return (n,) normalised discounted gains with one right item (Jarvelin, Kekalainen 2002).

    >>> gains_at(np.array([0, 2, -1, 99]), 10).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    return np.where(_within(ranks, k), 1 / np.log2(np.maximum(ranks, 0) + 2.0), 0.0)


def recall_at(ranks: NDArray[Any], k: int) -> float:
    """Return the share of lists whose first k hold the right item; 0 without lists.

    >>> recall_at(np.array([0, 4, 25, -1]), 20)
    0.5
    """
    return _mean(hits_at(ranks, k))


def mrr_at(ranks: NDArray[Any], k: int) -> float:
    """Return the mean of 1 / place of the right item, 0 beyond the first k.

    >>> mrr_at(np.array([0, 1, 25, -1]), 20)
    0.375
    """
    return _mean(reciprocal_ranks_at(ranks, k))


def ndcg_at(ranks: NDArray[Any], k: int) -> float:
    """Return the mean normalised discounted gain with one right item.

    >>> ndcg_at(np.array([0, 2, -1, 99]), 10)
    0.375
    """
    return _mean(gains_at(ranks, k))


def rank_of(scores: NDArray[Any], row: int) -> int:
    """Return the rank of one row among (n,) scores; half of its equals stand before it.

    >>> rank_of(np.array([0.3, 0.9, 0.3, 0.3]), 0)
    2
    """
    above = int(np.count_nonzero(scores > scores[row]))
    return above + (int(np.count_nonzero(scores == scores[row])) - 1) // 2


def _within(ranks: NDArray[Any], k: int) -> NDArray[np.bool_]:
    return (ranks >= 0) & (ranks < k)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0
