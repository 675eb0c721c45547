"""Whether the index of a bundle finds the items of that bundle, nearest first."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.item_index import ExactIndex, GraphIndex
from online_models.artifacts.manifest import INDEX

_SESSIONS: Final = 16
_NEIGHBOURS: Final = 10
_SESSION_ITEMS: Final = 4
_ALIKE: Final = 40
_LEAST_RECALL: Final = 0.9
_SELF_SAMPLES: Final = 256
_VECTOR_SAMPLES: Final = 4096
_SEED: Final = 20_130_228


def check_index(folder: Path, bundle: Bundle) -> None:
    """Compare the index with the vectors of the bundle, and with the exact search.

    Raises:
        BundleError: it holds other rows or other vectors, or does not find them.
    """
    if isinstance(bundle.index, GraphIndex):
        _check_rows(folder, bundle.index, bundle.item_vectors)
        _check_self_retrieval(folder, bundle.index, bundle.item_vectors)
    _check_sessions(folder, bundle)


def _check_rows(folder: Path, index: GraphIndex, vectors: NDArray[np.float32]) -> None:
    if not np.array_equal(np.sort(index.labels), np.arange(len(vectors))):
        raise BundleError(folder, f"{INDEX} holds other rows than 0 to {len(vectors) - 1}")
    rows = _sample(len(vectors), _VECTOR_SAMPLES)
    if not np.array_equal(index.vectors_of(rows), vectors[rows]):
        raise BundleError(folder, f"{INDEX} was built over other vectors than those of the bundle")


def _check_self_retrieval(folder: Path, index: GraphIndex, vectors: NDArray[np.float32]) -> None:
    """Look for items by their own vectors; another one that is as near counts too."""
    rows = _sample(len(vectors), _SELF_SAMPLES)
    best = [index.nearest(vectors[row], 1)[1].max(initial=-1) for row in rows]
    found = float((np.array(best) > 1 - 1e-3).mean())
    if found < _LEAST_RECALL:
        raise BundleError(
            folder,
            f"{INDEX} finds {found:.0%} of the items by their own vectors, "
            f"expected {_LEAST_RECALL:.0%}",
        )


def _check_sessions(folder: Path, bundle: Bundle) -> None:
    """Compare with the exact search, for queries like a session: means of items that are alike.

    A mean of items taken anywhere lies between all clusters, where no session is and where a
    graph finds its way by luck.
    """
    vectors = bundle.item_vectors
    rng = np.random.default_rng(_SEED)
    exact = ExactIndex(vectors)
    recalls = []
    for first in rng.integers(0, len(vectors), _SESSIONS).tolist():
        alike, _ = exact.nearest(vectors[first], _ALIKE)
        query = vectors[rng.choice(alike, _SESSION_ITEMS)].mean(axis=0)
        expected, _ = exact.nearest(query, _NEIGHBOURS)
        found, scores = bundle.nearest(query, _NEIGHBOURS)
        if np.any(np.diff(scores) > 0):
            raise BundleError(folder, "its index does not answer the nearest items first")
        recalls.append(np.isin(expected, found).mean())
    recall = float(np.mean(recalls))
    if recall < _LEAST_RECALL:
        raise BundleError(
            folder,
            f"its index finds {recall:.0%} of the nearest items, expected {_LEAST_RECALL:.0%}",
        )


def _sample(count: int, most: int) -> NDArray[np.int64]:
    """Return every k-th of `count` rows, at most `most` of them.

    >>> _sample(10, 3).tolist()
    [0, 4, 8]
    """
    return np.arange(0, count, -(-count // most))
