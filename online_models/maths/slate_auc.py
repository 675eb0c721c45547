"""AUC by slate: how well items are told apart that one user saw at one time.

Law: nothing is compared across slates, so that knowing which users click much, or at which hours,
earns nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.maths.classification import auc


def mixed_slates(slate: NDArray[np.int64], labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the numbers of the slates that hold items of both labels, ascending.

    Args:
        slate: (n,) number of the slate of each item.
        labels: (n,) 0 or 1.

    >>> mixed_slates(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 0])).tolist()
    [0]
    """
    positive = np.asarray(labels) > 0
    return np.intersect1d(slate[positive], slate[~positive])


def slate_aucs(
    scores: NDArray[Any], labels: NDArray[Any], slate: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the (m,) AUC within each mixed slate, in the order of `mixed_slates`.

    Args:
        scores: (n,) finite, bigger where a positive is likelier.
        labels: (n,) 0 or 1.
        slate: (n,) number of the slate of each item, ascending.

    >>> scores, labels = np.array([0.9, 0.8, 0.1, 0.2]), np.array([1, 0, 0, 1])
    >>> slate_aucs(scores, labels, np.array([0, 0, 1, 1])).tolist()
    [1.0, 1.0]
    >>> slate_aucs(scores, labels, np.array([0, 1, 1, 1])).tolist()
    [0.5]
    """
    mixed = mixed_slates(slate, labels)
    starts = np.searchsorted(slate, mixed, side="left")
    ends = np.searchsorted(slate, mixed, side="right")
    scores, labels = np.asarray(scores), np.asarray(labels)
    return np.array(
        [
            auc(scores[start:end], labels[start:end])
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ],
        np.float64,
    )
