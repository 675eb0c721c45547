"""An order of a slate at the level of another prediction: who is clicked by one, how often by both.

A softmax within slates says which item of a slate is clicked and leaves the level of the slate
open: its log-odds hold but for a constant, which cancels out (conditional logit, McFadden 1974,
"Conditional logit analysis of qualitative choice behavior"). The constant is chosen so that as many
clicks are expected as the other prediction expects.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

_LEAST: Final = 1e-9
_TOLERANCE: Final = 1e-6  # in log-odds

Floats = NDArray[np.floating]


def at_level_of(level: Floats, order: Floats) -> NDArray[np.float64]:
    """Return probabilities in the order of one prediction whose sum is that of another.

    Args:
        level: (n,) probabilities that sum to what is expected.
        order: (n,) probabilities whose log-odds hold but for a constant.

    Returns:
        (n,) in (0, 1).

    >>> at_level_of(np.array([0.1, 0.3]), np.array([0.9, 0.5])).round(3)
    array([0.345, 0.055])
    >>> at_level_of(np.array([0.2]), np.array([0.9])).round(3), at_level_of(np.ones(0), np.ones(0))
    (array([0.2]), array([], dtype=float64))
    """
    if not len(level):
        return np.empty(0)
    odds = _log_odds(order)
    wanted = float(np.asarray(level, np.float64).mean())
    middle = float(_log_odds(np.array(wanted)))
    # With the first constant all are at most what is wanted on average, with the last at least.
    lowest = middle - float(odds.max()) - _TOLERANCE
    highest = middle - float(odds.min()) + _TOLERANCE

    def excess(constant: float) -> float:
        return float(expit(odds + constant).mean()) - float(expit(middle))

    return np.asarray(expit(odds + brentq(excess, lowest, highest, xtol=_TOLERANCE)))


def _log_odds(probabilities: Floats) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(probabilities.astype(np.float64), _LEAST, 1 - _LEAST)))
