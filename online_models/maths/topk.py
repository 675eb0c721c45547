"""The only sort of scores: bigger is better, what is not finite comes last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the indices of the k biggest scores, best first; of equal scores the first wins.

    Args:
        scores: (n,) numbers; NaN and both infinities count as the worst.
        k: how many; all are returned when there are fewer.

    Returns:
        (min(k, n),) int64.

    >>> top_k(np.array([0.1, np.nan, 0.9, np.inf, 0.9]), 3).tolist()
    [2, 4, 0]
    """
    n = len(scores)
    k = max(min(k, n), 0)
    if not k:
        return np.empty(0, np.int64)
    values = np.where(np.isfinite(scores), scores, -np.inf)
    if k < n:
        # A partition is not stable: take what is above the k-th score, then its equals in order.
        threshold = np.partition(values, n - k)[n - k]
        above = np.flatnonzero(values > threshold)
        equal = np.flatnonzero(values == threshold)[: k - len(above)]
        chosen = np.concatenate([above, equal])
    else:
        chosen = np.arange(n)
    order = np.argsort(-values[chosen], kind="stable")
    return chosen[order].astype(np.int64)
