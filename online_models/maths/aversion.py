"""How averse a user is to an item: what they rejected of its kind, net of what they accepted.

Law: pure functions of evidence. Evidence is a sum of weights, of rejections on the one side and of
what was accepted on the other; without a rejection nothing is averse and no score changes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

KINSHIP_FROM: Final = 0.25
KINSHIP_FULL: Final = 0.65
"""Cosines from which two items say something of one another, and as much as of themselves.

Of trained vectors of a generated log, nine tenths of the pairs of two categories are below the
first, most pairs of one category between them, and those of one collection above the second.
"""

PATTERN: Final = 1.5
"""Power of the evidence: one rejection may be of that item alone, several are of its kind."""

MIN_FACTOR: Final = 1e-4
"""A score is never lowered further than by this, so that its logarithm stays of use."""

Floats = NDArray[np.float32]


def net_aversion(rejected: NDArray[Any], accepted: NDArray[Any]) -> Floats:
    """Return the evidence against each of n kinds: the rejections, times their share of all.

    So one rejection of what is otherwise liked weighs next to nothing, and the same rejection of
    what is not weighs in full.

    Args:
        rejected: (n,) evidence against, 0 or more.
        accepted: (n,) evidence for, 0 or more.

    >>> net_aversion(np.array([0, 1, 1, 6]), np.array([5, 0, 20, 0])).round(2).tolist()
    [0.0, 1.0, 0.05000000074505806, 6.0]
    """
    against = np.asarray(rejected, np.float32)
    total = against + np.asarray(accepted, np.float32)
    return np.asarray(against * against / np.maximum(total, np.float32(1e-9)), np.float32)


def kinship(cosines: NDArray[Any]) -> Floats:
    """Return how far items are of one kind, in [0, 1], by the cosine of their vectors.

    >>> kinship(np.array([-1.0, 0.25, 0.45, 1.0])).round(2).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    above = (np.asarray(cosines, np.float32) - KINSHIP_FROM) / (KINSHIP_FULL - KINSHIP_FROM)
    return np.asarray(np.clip(above, 0, 1), np.float32)


def demotion(aversion: NDArray[Any], weight: float) -> Floats:
    """Return what the score of each of n candidates is multiplied by, in [`MIN_FACTOR`, 1].

    The least averse candidate keeps its score: where everything was rejected alike, as by a
    category that all items carry, that says nothing of any of them.

    Args:
        aversion: (n,) evidence against each, 0 or more.
        weight: of a unit of evidence; 0 leaves everything as it is.

    >>> demotion(np.array([0.0, 1.0, 4.0]), 0.5).round(2).tolist()
    [1.0, 0.6100000143051147, 0.019999999552965164]
    """
    if not len(aversion):
        return np.ones(0, np.float32)
    strength = np.power(aversion, PATTERN, dtype=np.float32)
    above = strength - strength.min()
    return np.asarray(np.maximum(np.exp(-weight * above), MIN_FACTOR), np.float32)


def demoted(scores: Floats, factors: Floats) -> Floats:
    """Return the scores, lowered; those below 0 fall as well.

    >>> demoted(np.array([4.0, -4.0], np.float32), np.array([0.5, 0.5], np.float32)).tolist()
    [2.0, -6.0]
    """
    return np.asarray(scores - (1 - factors) * np.abs(scores), np.float32)
