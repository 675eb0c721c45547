"""AUC as a mean: what each prediction contributes, so that a bootstrap of means serves it too.

Law: the mean of the parts is the AUC itself, to rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.maths.classification import auc


def auc_parts(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the (n,) parts of the AUC: its value plus the influence of each prediction.

    The influence of a positive is how far the share of the negatives below it lies from the AUC,
    over the share of positives; that of a negative likewise (the structural components of DeLong,
    DeLong and Clarke-Pearson 1988, equations 3 and 4). Resampled means of the parts therefore
    spread as resampled AUCs do, but for terms of the order of 1 / n.

    Args:
        scores: (n,) finite, bigger where a positive is likelier.
        labels: (n,) 0 or 1; all parts are 0.5 where one of the two is missing.

    >>> auc_parts(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1])).round(3).tolist()
    [1.125, 0.625, 0.625, 1.125]
    """
    positive = np.asarray(labels) > 0
    n, positives = len(positive), int(positive.sum())
    whole = auc(scores, labels)
    parts = np.full(n, whole)
    if not 0 < positives < n:
        return parts
    scores = np.asarray(scores)
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    parts[positive] += (_share_below(below, scores[positive]) - whole) * n / positives
    beaten_by = 1 - _share_below(above, scores[~positive])
    parts[~positive] += (beaten_by - whole) * n / (n - positives)
    return parts


def _share_below(others: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return (n,) the share of the ascending others below each score; an equal one is half."""
    lower = np.searchsorted(others, scores, side="left")
    upper = np.searchsorted(others, scores, side="right")
    return np.asarray((lower + upper) / (2 * len(others)), np.float64)
