"""Nearest items to a vector: exact while that is cheap, a graph above; the only hnswlib.

Law: a score is a cosine, bigger is better. hnswlib answers distances; they become scores here and
nowhere else. An index is never changed once it is built: a live graph forbids insert beside
search, so new items are searched on a side list until the next bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import hnswlib
import numpy as np
from numpy.typing import NDArray

from online_models.maths.topk import top_k

EXACT_BELOW: Final = 50_000
"""Items below which the exact search is both faster to load and fast enough to answer."""

_LINKS: Final = 24
_BUILD_BREADTH: Final = 200
_SEARCH_BREADTH: Final = 256  # recall of 0.95 and more at 200 neighbours of a session
_SEED: Final = 7

Nearest = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(k,) rows, best first, and their (k,) scores."""


class ItemIndex(Protocol):
    """Finds the items nearest to a vector."""

    def nearest(self, vector: NDArray[np.float32], k: int) -> Nearest:
        """Return the at most k nearest rows and their scores, best first."""


class ExactIndex:
    """Compares with every item."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def nearest(self, vector: NDArray[np.float32], k: int) -> Nearest:
        """Return the at most k nearest rows and their scores, best first."""
        scores = self._vectors @ vector  # (n,)
        rows = top_k(scores, k)
        return rows, scores[rows]


class GraphIndex:
    """Walks a navigable small-world graph (Malkov and Yashunin 2016)."""

    def __init__(self, path: Path, vectors: NDArray[np.float32]) -> None:
        """Load the graph that `build_graph` wrote for these vectors.

        A corrupt file may end the process: a bundle is checked in a child process first.

        Raises:
            RuntimeError: when hnswlib cannot read the file.
        """
        self._exact = ExactIndex(vectors)
        self._graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._graph.load_index(str(path), max_elements=len(vectors))
        if self._graph.get_current_count() != len(vectors):
            found = self._graph.get_current_count()
            raise RuntimeError(f"the index holds {found} items, expected {len(vectors)}")
        self._graph.set_ef(_SEARCH_BREADTH)
        self._graph.set_num_threads(1)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The (n,) rows that it holds, in no order."""
        return np.array(self._graph.get_ids_list(), np.int64)

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the (k, dim) vectors that it was built over, of k rows that it holds."""
        found: NDArray[np.float32] = np.asarray(
            self._graph.get_items(rows.tolist(), return_type="numpy"), np.float32
        )
        return found

    def nearest(self, vector: NDArray[np.float32], k: int) -> Nearest:
        """Return the at most k nearest rows and their scores, best first."""
        k = min(k, self._graph.get_current_count())
        if k <= 0 or k > _SEARCH_BREADTH:
            return self._exact.nearest(vector, k)
        try:
            labels, distances = self._graph.knn_query(vector, k=k)
        except RuntimeError:  # the walk met fewer than k items: rare, and the exact answer exists
            return self._exact.nearest(vector, k)
        return labels[0].astype(np.int64), (1 - distances[0]).astype(np.float32)


def build_graph(path: Path, vectors: NDArray[np.float32], *, threads: int = 2) -> None:
    """Write the graph of (n, dim) unit vectors to `path`."""
    graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
    graph.init_index(
        max_elements=len(vectors), M=_LINKS, ef_construction=_BUILD_BREADTH, random_seed=_SEED
    )
    graph.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
    graph.save_index(str(path))
