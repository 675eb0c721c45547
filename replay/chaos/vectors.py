"""The item vectors of a chaos run: the same for its workers and for its audit, without a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from freshet.core.events.partition import item_hashes
from freshet.core.state.records import EMBEDDING_DIM
from streams.item_vectors import LiveVectors, VectorTable, vector_table

ITEMS: Final = 60
_TAG: Final = 7  # of the bundle that they stand for
_SEED: Final = 7


def item_name(number: int) -> str:
    """Return the id of an item of the traffic."""
    return f"item-{number}"


def chaos_vectors() -> VectorTable:
    """Return the vectors of all items of the traffic, by their hashes."""
    hashes = np.asarray(item_hashes([item_name(number) for number in range(ITEMS)]))
    vectors = np.random.default_rng(_SEED).standard_normal((ITEMS, EMBEDDING_DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vector_table(_TAG, np.sort(hashes), vectors.astype(np.float32))


def live_chaos_vectors() -> LiveVectors:
    """Return the same as the folds take them."""
    vectors = LiveVectors(Path("/nonexistent"))
    vectors.current = chaos_vectors()
    return vectors
