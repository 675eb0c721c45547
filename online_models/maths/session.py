"""The session embedding: a time-decayed sum of the vectors of the last items, as a direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SESSION_EVENTS = 10
"""Newest interactions that make up a session."""


def session_sum(
    vectors: NDArray[np.float32],
    weights: NDArray[np.float32],
    ages_s: NDArray[Any],
    half_life_s: float,
) -> NDArray[np.float32]:
    """Return the decayed sum of the vectors of a session.

    The sum runs over the events one after the other, so that a user's embedding does not depend,
    to the last bit, on who else is in the batch: state replayed in other batches is equal.

    Args:
        vectors: (n, k, d) item vectors; zero where unknown.
        weights: (n, k) preference of each event, negative pushes away, 0 leaves out.
        ages_s: (n, k) seconds from each event to the newest of its user, 0 or more.
        half_life_s: an event so old weighs half.

    Returns:
        (n, d) sums; zero where nothing is known.
    """
    decayed = (weights * np.exp2(-ages_s / half_life_s)).astype(np.float32)  # (n, k)
    total = np.zeros((len(vectors), vectors.shape[2]), np.float32)
    for event in range(vectors.shape[1]):
        total += decayed[:, event, None] * vectors[:, event]
    return total


def session_embedding(
    vectors: NDArray[np.float32],
    weights: NDArray[np.float32],
    ages_s: NDArray[Any],
    half_life_s: float,
) -> NDArray[np.float32]:
    """Return the direction that a session points to: `session_sum` at unit length.

    Args:
        vectors: (n, k, d) as in `session_sum`.
        weights: (n, k) as in `session_sum`.
        ages_s: (n, k) as in `session_sum`.
        half_life_s: an event so old weighs half.

    Returns:
        (n, d) unit vectors; zero where nothing is known.

    >>> v = np.eye(2, dtype=np.float32)[None]
    >>> decayed = session_embedding(v, np.ones((1, 2), np.float32), np.array([[0, 10]]), 10)
    >>> decayed.astype(float).round(3).tolist()
    [[0.894, 0.447]]
    """
    total = session_sum(vectors, weights, ages_s, half_life_s)
    norm = np.sqrt((total * total).sum(axis=1, keepdims=True))
    return np.asarray(total / np.where(norm > 1e-6, norm, np.float32(np.inf)))


def quantized(directions: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return directions in a byte per axis, (n, d); zero stays zero.

    The largest axis of each becomes 127, so the angle is off by less than half a degree.

    >>> quantized(np.array([[0.6, -0.8], [0.0, 0.0]], np.float32)).tolist()
    [[95, -127], [0, 0]]
    """
    largest = np.abs(directions).max(axis=1, initial=0)
    scale = np.where(largest > 1e-6, 127 / np.maximum(largest, 1e-6), 0).astype(np.float32)
    return np.asarray(np.rint(directions * scale[:, None]).astype(np.int8))


def direction(quantized_axes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the unit vector of a quantized direction, (d,); zero for zero.

    >>> direction(np.array([95, -127], np.int8)).round(2).tolist()
    [0.6000000238418579, -0.800000011920929]
    """
    axes = quantized_axes.astype(np.float32)
    norm = np.sqrt(axes @ axes)
    return np.asarray(axes / norm) if norm > 0 else axes
