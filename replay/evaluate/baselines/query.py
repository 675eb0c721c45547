"""What a user's history asks: the last items visited, the newer the heavier."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.training.log import TARGET
from replay.evaluate.request import Request, Rows

DECAY: Final = 0.5  # from each item to the one visited before it


def last_visited(request: Request, most: int) -> tuple[Rows, NDArray[np.float64]]:
    """Return the user's last distinct items, newest first, and their weights.

    Args:
        request: whose history is asked; only events of the types in `TARGET` are visits.
        most: how many items at most.

    Returns:
        (q,) rows and (q,) weights: 1, `DECAY`, `DECAY`^2, ...
    """
    visits = request.items[TARGET[request.types]].tolist()
    rows = np.array(list(dict.fromkeys(visits))[:most], np.int64)
    return rows, np.power(DECAY, np.arange(len(rows)), dtype=np.float64)
