"""Item kNN: what is visited by the same people as the items of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight
from numpy.typing import NDArray

from replay.evaluate.request import Rows

NEIGHBOURS: Final = 200
SATURATION: Final = 1.2  # k1
LENGTH_NORM: Final = 0.75  # b


@dataclass(frozen=True, slots=True)
class ItemKnn:
    """A model by similarity.

    Attributes:
        similarity: (m, m), the `NEIGHBOURS` largest of each row.
    """

    similarity: scipy.sparse.csr_matrix

    def scores(self, history: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (m,) weighted sums of the similarities to the history."""
        near = self.similarity[history]
        weight = np.repeat(weights, np.diff(near.indptr))
        scores: NDArray[np.float64] = np.zeros(self.similarity.shape[1])
        np.add.at(scores, near.indices, weight * near.data)
        return scores


def fit_item_knn(counts: scipy.sparse.csr_matrix) -> ItemKnn:
    """Return the inner products of the columns of (n_users, m) counts, weighted by BM25.

    BM25 is as in Robertson and Zaragoza, "The probabilistic relevance framework", 2009, with users
    for documents: an item of a user who visits much, and an item that everyone visits, say less.
    """
    weighted = bm25_weight(counts, SATURATION, LENGTH_NORM).tocsr()
    recommender = ItemItemRecommender(NEIGHBOURS, num_threads=1)
    recommender.fit(weighted, show_progress=False)
    return ItemKnn(recommender.similarity)
