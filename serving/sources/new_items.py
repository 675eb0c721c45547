"""Source `new`: what the catalogue got lately, the part nearest to the user first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.maths.topk import top_k
from serving.live_bundle import BoundBundle
from serving.sources.found import Found
from serving.standings import Standings


def find_new(
    standings: Standings, bound: BoundBundle | None, vector: NDArray[np.float32], quota: int
) -> Found:
    """Return new items.

    Args:
        standings: which items are new.
        bound: the bundle whose vectors are compared.
        vector: (EMBEDDING_DIM,) of the user; the newest items come first when it is zero.
        quota: most items to find.
    """
    newest = standings.newest.first(4 * quota)
    if bound is None or not vector.any():
        return standings.newest.first(quota)
    nearness = bound.vectors[newest.rows] @ vector  # (n,)
    best = top_k(nearness, quota)
    return Found.of(newest.rows[best], nearness[best])
