"""EASE: the linear autoencoder with a closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from online_models.maths.topk import top_k
from replay.evaluate.request import Rows

MOST_ITEMS: Final = 4_000  # the time to train grows with the cube
RIDGE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Ease:
    """A model by weights from item to item.

    Attributes:
        weights: (e, e) from the item of the row to that of the column.
        columns: (e,) which of the m columns they are about.
        place: (m,) where each stands among these, -1 = not there.
    """

    weights: NDArray[np.float32]
    columns: Rows
    place: Rows

    def scores(self, history: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (m,) weighted sums of the weights from the history."""
        places = self.place[history]
        known = places >= 0
        scores = np.zeros(len(self.place))
        scores[self.columns] = weights[known] @ self.weights[places[known]]
        return scores


def fit_ease(counts: scipy.sparse.csr_matrix) -> Ease:
    """Return the weights learned from (n_users, m) counts, of the most visited items.

    Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, equation 8: with
    P = (X'X + ridge I)^-1 the weight from i to j is -P_ij / P_jj, and 0 from an item to itself.
    """
    columns = np.sort(top_k(np.asarray(counts.sum(axis=0)).ravel(), MOST_ITEMS))
    place = np.full(counts.shape[1], -1)
    place[columns] = np.arange(len(columns))
    chosen = counts[:, columns]
    gram = (chosen.T @ chosen).toarray(order="F")
    gram[np.diag_indices_from(gram)] += RIDGE
    with threadpool_limits(1, "blas"):
        # Positive definite, so Cholesky: a third of the work of a general inverse.
        factor, _ = lapack.spotrf(gram, lower=1, overwrite_a=1)
        inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)  # the lower triangle alone
    weights = np.tril(inverse, -1)
    weights += weights.T
    weights /= -np.diag(inverse)
    return Ease(weights, columns, place)
