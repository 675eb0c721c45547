"""How good predicted probabilities are: order, likelihood and calibration.

Throughout, `labels` are (n,) 0 or 1 and `scores` or `probabilities` are (n,), finite unless said
otherwise.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS: Final = 15
_LEAST_PROBABILITY: Final = 1e-15  # a certainty that was wrong costs 35 nats, not everything


def auc(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the probability that a positive scores above a negative; an equal score is half.

    The statistic of Mann and Whitney (1947) over the number of pairs; 0.5 where one of the two
    classes is missing, since then there is nothing to tell apart.

    >>> auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.875
    """
    positive = np.asarray(labels) > 0
    positives = int(positive.sum())
    pairs = positives * (len(positive) - positives)
    if not pairs:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = counts.cumsum() - (counts - 1) / 2  # from 1, of each distinct score
    rank_sum = mean_rank[place][positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / pairs)


def log_loss(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean negative log likelihood, in nats; 0 without predictions.

    >>> round(log_loss(np.array([0.5, 0.5]), np.array([0, 1])), 6)
    0.693147
    """
    return float(log_losses(probabilities, labels).mean()) if len(labels) else 0.0


def log_losses(probabilities: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the (n,) negative log likelihoods, in nats, whose mean is the log loss.

    What is not finite counts as surely wrong.

    >>> log_losses(np.array([0.5, 0.9]), np.array([0, 1])).round(6).tolist()
    [0.693147, 0.105361]
    """
    given = np.asarray(probabilities, np.float64)
    of_truth = np.where(np.asarray(labels) > 0, given, 1 - given)
    sure = np.where(np.isfinite(of_truth), of_truth, 0).clip(_LEAST_PROBABILITY, 1)
    return np.asarray(-np.log(sure), np.float64)


def calibration_error(
    probabilities: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS
) -> float:
    """Return the expected calibration error over bins of equal mass; 0 without predictions.

    The mean distance between predicted and true rate of a bin, weighted by its size (Naeini,
    Cooper and Hauskrecht 2015; bins of equal mass as in Nguyen and O'Connor 2015). It is above 0
    even for true probabilities: of the order of sqrt(bins * rate / n).

    Args:
        probabilities: (n,) of label 1.
        labels: (n,) 0 or 1.
        bins: of as equal a size as can be; equal probabilities may fall into two of them.

    >>> round(calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0, 0, 1, 1]), bins=2), 6)
    0.15
    """
    n = len(labels)
    if not n:
        return 0.0
    order = np.argsort(probabilities, kind="stable")
    starts = np.unique(np.arange(bins) * n // bins)  # fewer bins than asked where n is small
    surplus = np.asarray(probabilities, np.float64)[order] - np.asarray(labels)[order]
    return float(np.abs(np.add.reduceat(surplus, starts)).sum() / n)


def calibration_ratio(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return predicted over true positives (He et al. 2014, section 2); 1 is right.

    It is infinite where nothing was positive, so that no bound from above lets it pass.

    >>> calibration_ratio(np.array([0.5, 0.5, 0.5]), np.array([1, 0, 1]))
    0.75
    """
    positives = float(np.sum(labels))
    return float(np.sum(probabilities)) / positives if positives else float("inf")
