"""Source `session`: the items nearest to where the user's session points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.live_bundle import BoundBundle
from serving.sources.found import Found


def find_session(bound: BoundBundle | None, vector: NDArray[np.float32], quota: int) -> Found:
    """Return the items nearest to the user.

    Args:
        bound: the bundle whose items are searched; nothing is found without one.
        vector: (EMBEDDING_DIM,) float32 unit; nothing is found for the zero vector.
        quota: most items to find.
    """
    if bound is None or not vector.any():
        return Found.nothing()
    return Found.of(*bound.nearest(vector, quota))
