"""Maximal marginal relevance: a list whose items are good and unlike one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mmr(
    scores: NDArray[Any], vectors: NDArray[np.float32], k: int, diversity: float
) -> NDArray[np.int64]:
    """Return k candidates, each the best compromise given those before it.

    Greedily takes the largest (1 - diversity) * relevance - diversity * (similarity to the most
    similar one taken) (Carbonell and Goldstein 1998, "The use of MMR", equation 1). Relevance is
    the score brought to [0, 1] within the request, so that `diversity` means the same whatever
    the scale of the scores.

    Args:
        scores: (n,) bigger is better; what is not finite is taken last.
        vectors: (n, d) unit vectors, zero where unknown.
        k: how many; all are returned when there are fewer.
        diversity: 0 = relevance alone, 1 = diversity alone after the best one.

    Returns:
        (min(k, n),) int64 indices in the order taken; of equal ones the first wins.

    >>> same, other = [1.0, 0.0], [0.0, 1.0]
    >>> mmr(np.array([0.9, 0.8, 0.1]), np.array([same, same, other], np.float32), 2, 0.6).tolist()
    [0, 2]
    """
    n = len(scores)
    k = max(min(k, n), 0)
    taken = np.empty(k, np.int64)
    if not k:
        return taken
    relevance = _relevance(scores, 1 - diversity)  # (n,)
    transposed = np.ascontiguousarray(vectors.T, np.float32)  # (d, n): one pass per item taken
    nearest = np.full(n, -np.inf, np.float32)  # similarity to the most similar one taken
    marginal = relevance.copy()
    penalty = np.empty(n, np.float32)
    similarity = np.empty(n, np.float32)
    for place in range(k):
        best = int(marginal.argmax())
        if marginal[best] == -np.inf:  # only those without a finite score are left
            taken[place:] = np.setdiff1d(np.arange(n), taken[:place])[: k - place]
            break
        taken[place] = best
        relevance[best] = -np.inf
        np.dot(vectors[best], transposed, out=similarity)
        np.maximum(nearest, similarity, out=nearest)
        np.multiply(nearest, diversity, out=penalty)
        np.subtract(relevance, penalty, out=marginal)
    return taken


def _relevance(scores: NDArray[Any], weight: float) -> NDArray[np.float32]:
    """Return the scores brought to [0, weight], -inf where they are not finite."""
    finite = np.isfinite(scores)
    if not finite.any():
        return np.full(len(scores), -np.inf, np.float32)
    values = scores[finite].astype(np.float64)
    low, high = values.min(), values.max()
    relevance = np.full(len(scores), -np.inf, np.float32)
    relevance[finite] = weight * (values - low) / (high - low) if high > low else 0.0
    return relevance
