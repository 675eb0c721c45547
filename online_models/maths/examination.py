"""Which impressions were looked at: the position-based model of clicks.

A slot is examined with a probability that depends on its position alone, and an examined item is
clicked with a probability that depends on the item alone (Richardson, Dominowska and Ragno 2007,
"Predicting clicks"). An impression without a click is then a failure only as far as it was
examined: Lagree, Vernade and Cappe (2016), "Multiple-play bandits in the position-based model".

The live state counts impressions of an item without their positions, so live posteriors count each
of them in full; the logs of slates know the positions.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ROUNDS: Final = 200

Floats = NDArray[np.float64]


def examined(impressions: NDArray[Any], examination: Floats) -> Floats:
    """Return the expected number of examined impressions of each item, (n,).

    Args:
        impressions: (n, positions) of each item at each position.
        examination: (positions,) probability that a position is examined.

    >>> examined(np.array([[10, 0], [10, 20]]), np.array([1.0, 0.5])).tolist()
    [10.0, 20.0]
    """
    return np.asarray(impressions @ examination, np.float64)


def examination_curve(impressions: NDArray[Any], clicks: NDArray[Any]) -> Floats:
    """Return the examination of each position relative to the most examined one, (positions,).

    The rates of items and positions that are likeliest when clicks are Poisson with mean
    impressions * item * position; each is solved for in turn, given the other. Which position gets
    which items is thereby allowed for.

    Args:
        impressions: (n, positions) of each item at each position.
        clicks: (n, positions) of them.

    >>> shown = np.array([[900, 100], [100, 900]])
    >>> clicks = shown * np.array([[0.1], [0.01]]) * np.array([1.0, 0.5])
    >>> examination_curve(shown, clicks).round(3).tolist()
    [1.0, 0.5]
    """
    positions = np.ones(impressions.shape[1])
    if not np.any(clicks):
        return positions
    for _ in range(_ROUNDS):
        items = clicks.sum(axis=1) / np.maximum(impressions @ positions, 1e-300)
        positions = clicks.sum(axis=0) / np.maximum(items @ impressions, 1e-300)
        positions /= positions.max()
    return positions
