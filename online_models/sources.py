"""How the candidate sources score items: pure formulas that serving and training share.

Law: bigger is better, and a formula is a function of its arguments; what is offered to whom is
decided elsewhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import TREND_HALF_LIVES_S

QUOTAS: Final = {
    "session": 0.3,
    "covisitation": 0.3,
    "transitions": 0.2,
    "neighbours": 0.2,
    "past": 0.3,
    "similar": 0.1,
    "category": 0.2,
    "trending": 0.1,
    "new": 0.1,
    "popular": 1.0,
}
"""Share of the candidates that each source may find; popular fills what the others leave."""

LAST_VISITS: Final = 5
"""Distinct visits, newest first, whose transitions vote for candidates."""

_VISIT_DECAY: Final = 0.6

NEW_ITEM_AGE_S: Final = 30 * 86_400

ORDERS: Final = (
    *(f"rate_{half_life_s}s" for half_life_s in TREND_HALF_LIVES_S),
    *(f"rising_{half_life_s}s" for half_life_s in TREND_HALF_LIVES_S[:-1]),
    "interactions",
)
"""Orders of the candidates of a request by how much is done with them, now and lately: what
`popular` and `trending` mix at fixed half-lives, each by itself. `rising_3600s` is `trending`."""

_HOUR, _DAY, _WEEK = 1, 2, 3  # levels of TREND_HALF_LIVES_S

Floats = NDArray[np.float32]


def popular_scores(rates: Floats, interactions: NDArray[np.uint32]) -> Floats:
    """Return (n,) how popular items are; never zero for an item that was ever acted on.

    The sum of the events expected at the rate of the day and at that of the week: the first
    follows a busy log, the second carries a quiet one. All-time counts break ties.

    Args:
        rates: (n, n_half_lives) events/s.
        interactions: (n,) users who acted on each, once in a window.
    """
    tie_break = np.float32(1e-3) * np.log1p(interactions)
    scores = _expected(rates, _DAY) + _expected(rates, _WEEK) + tie_break
    return np.asarray(scores, np.float32)


def trending_scores(rates: Floats) -> Floats:
    """Return (n,) the Poisson significance of the last hour against the rate of the week.

    Args:
        rates: (n, n_half_lives) events/s.
    """
    return _rising(rates, _HOUR)


def order_scores(rates: Floats, interactions: NDArray[np.uint32]) -> Floats:
    """Return (n, len(ORDERS)) what each of `ORDERS` sorts by; not above 0 where it has no say.

    Args:
        rates: (n, n_half_lives) events/s.
        interactions: (n,) events of all types but impressions.
    """
    rising = (_rising(rates, level) for level in range(_WEEK))
    return np.column_stack([rates, *rising, interactions.astype(np.float32)])


def visit_weights(n: int) -> NDArray[np.float64]:
    """Return the weights of the last n distinct visits, newest first.

    >>> visit_weights(3).round(2).tolist()
    [1.0, 0.6, 0.36]
    """
    return np.asarray(_VISIT_DECAY ** np.arange(n))


def _rising(rates: Floats, level: int) -> Floats:
    """Return the Poisson significance of one half-life against the rate of the week, (n,)."""
    share = TREND_HALF_LIVES_S[level] / TREND_HALF_LIVES_S[_WEEK]
    usual = _expected(rates, _WEEK) * np.float32(share)
    return np.asarray((_expected(rates, level) - usual) / np.sqrt(usual + 1), np.float32)


def _expected(rates: Floats, level: int) -> Floats:
    """Return the events expected within one half-life, and after it, at such a rate."""
    return np.asarray(rates[:, level] * np.float32(TREND_HALF_LIVES_S[level] / np.log(2)))
