"""Explore: a few slots drawn by Thompson sampling, last of all, each with its propensity.

Law: the draw is the last step. Whatever changed the list after it would make the logged
propensities false. What the user rejected lowers the rate that an arm like it is drawn by, so the
propensities stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.features import SOURCES
from online_models.maths.aversion import MIN_FACTOR
from online_models.maths.bandit import posterior, sharpened, thompson_slots
from online_models.maths.topk import top_k
from serving.moment import Moment
from serving.ranking import Ranked

ARMS_RANKED: Final = 12
ARMS_NEW: Final = 4
WELCOME: Final = 0.95  # factor, by what the user rejected, that lets an arm in
_NEW: Final = SOURCES.index("new")

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slots:
    """A list as decided, position by position.

    Attributes:
        candidates: (k,) indices into the candidates.
        propensities: (k,) probability in (0, 1] of each, given those before it.
        explored: (k,) bool, whether the bandit drew it.
    """

    candidates: Indices
    propensities: NDArray[np.float64]
    explored: NDArray[np.bool_]

    @classmethod
    def fixed(cls, candidates: Indices) -> Slots:
        """Return a list that the policy makes every time."""
        n = len(candidates)
        return cls(candidates, np.ones(n), np.zeros(n, bool))


def explore(moment: Moment, ranked: Ranked, order: Indices, rng: np.random.Generator) -> Slots:
    """Give some positions of the list to the bandit.

    Args:
        moment: the request.
        ranked: the candidates.
        order: (k,) the re-ranked list.
        rng: the only randomness of an answer.
    """
    positions = slot_positions(len(order), moment.settings.exploration_slots)
    if not positions:
        return Slots.fixed(order)
    return moment.stages.run(
        "explore",
        partial(_with_drawn, moment, ranked, order, positions, rng),
        otherwise=lambda: Slots.fixed(order),
    )


def slot_positions(length: int, slots: int) -> list[int]:
    """Return the positions of exploration slots, spread over a list.

    >>> slot_positions(20, 2), slot_positions(3, 2)
    ([6, 13], [])
    """
    slots = min(slots, length // 4)  # a short list is the user's own
    return [(slot + 1) * length // (slots + 1) for slot in range(slots)]


def _with_drawn(
    moment: Moment,
    ranked: Ranked,
    order: Indices,
    positions: list[int],
    rng: np.random.Generator,
) -> Slots:
    fixed = order[: len(order) - len(positions)]
    arms = _arms(ranked, fixed)
    rows, segment = ranked.union.rows[arms], moment.user.segment
    impressions, clicks = (
        moment.table.impressions[rows, segment],
        moment.table.clicks[rows, segment],
    )
    prior = moment.standings.priors[segment].of(moment.table.codes(rows))
    alpha, beta = sharpened(*posterior(prior, impressions, clicks))
    alpha = alpha * np.maximum(ranked.factors[arms], MIN_FACTOR)
    drawn, propensities = thompson_slots(alpha, beta, len(positions), rng)
    slots = Slots.fixed(order.copy())
    slots.explored[positions] = True
    slots.candidates[~slots.explored] = fixed
    slots.candidates[positions] = arms[drawn]
    slots.propensities[positions] = propensities
    return slots


def _arms(ranked: Ranked, placed: Indices) -> Indices:
    """Return the best candidates without a place, and the newest of the others.

    What is much like the rejected is no arm while there are others: the least that an arm is drawn
    would bring it back now and then.
    """
    free = np.ones(len(ranked.union), bool)
    free[placed] = False
    welcome = free & (ranked.factors >= WELCOME)
    if welcome.sum() >= ARMS_RANKED:
        free = welcome
    left = np.flatnonzero(free)
    best = left[top_k(ranked.scores[left], ARMS_RANKED)]
    free[best] = False
    new_ranks = ranked.union.ranks[:, _NEW]
    new = np.flatnonzero(free & (new_ranks >= 0))
    return np.concatenate([best, new[np.argsort(new_ranks[new], kind="stable")[:ARMS_NEW]]])
