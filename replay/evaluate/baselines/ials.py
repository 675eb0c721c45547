"""iALS: matrix factorisation of implicit feedback, users folded in from their history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from replay.evaluate.request import Rows

FACTORS: Final = 64
ITERATIONS: Final = 5
REGULARISATION: Final = 300.0
CONFIDENCE: Final = 100.0  # of one visit; what was not visited has 1
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Ials:
    """A model by factors.

    Attributes:
        items: (m, FACTORS) vectors of the items.
        gram: (FACTORS, FACTORS), items.T @ items with the regularisation on its diagonal.
    """

    items: NDArray[np.float32]
    gram: NDArray[np.float32]

    def scores(self, history: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (m,) preferences of a user with this history.

        The user's vector is the least squares solution of Hu, Koren and Volinsky, "Collaborative
        filtering for implicit feedback datasets", ICDM 2008, equation 4.
        """
        visited = self.items[history]  # (h, FACTORS)
        confidence = np.maximum(CONFIDENCE * weights, 1).astype(np.float32)
        weighted = self.gram + (visited.T * (confidence - 1)) @ visited
        user = np.linalg.solve(weighted, confidence @ visited)
        # Not a matrix product of BLAS, whose threads cost more here than they give.
        return np.asarray(np.einsum("if,f->i", self.items, user), np.float64)


def fit_ials(counts: scipy.sparse.csr_matrix) -> Ials:
    """Return the factors of (n_users, m) counts."""
    with threadpool_limits(1, "blas"):  # implicit has threads of its own
        model = AlternatingLeastSquares(
            FACTORS,
            regularization=REGULARISATION,
            alpha=CONFIDENCE,
            iterations=ITERATIONS,
            random_state=_SEED,
        )
        model.fit(counts, show_progress=False)
    items = model.item_factors
    return Ials(items, items.T @ items + REGULARISATION * np.eye(FACTORS, dtype=np.float32))
