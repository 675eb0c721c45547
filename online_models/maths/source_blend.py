"""Blends of ranked lists, chosen by how often each would have held what people visited next.

Several lists rank the same candidates: what resembles the session, what is popular by the hour, by
the week. An *option* is a vector of weights over the lists, by which reciprocal rank fusion makes
one list of them; option 0 is the prior, set by judgement. Of every visit it is known at which place
each option had the item when the person asked, before the visit had happened: that is prequential
evaluation (Dawid, "The prequential approach", 1984). The option in use is the one whose worth is
most surely above that of the prior.

Law: evidence decays by event time and by number, and is a function of the visits in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PLACES: Final = 20
"""Places of a list that count."""

HALF_LIFE_S: Final = 7 * 86_400.0
"""A visit so old counts half: what people follow changes more slowly than what they visit."""

VISITS_KEPT: Final = 5_000.0
"""Visits that count at most, later ones for more: by each new one the old ones weigh less."""

PRIOR_VISITS: Final = 50.0
"""Visits that stand for the prior: as long as fewer were seen, the prior decides."""

SURENESS: Final = 1.5
"""Standard errors that an option must be above the prior."""

SWITCH_GAIN: Final = 0.02
"""Share of the worth of the option in use by which another must be better to follow it."""

_FILL: Final = 1e-6  # of the prior in an option of one list: orders what that list does not rank

_FIRST: Final = 1e-3  # of the lists for everyone, where the personal ones come first

Floats = NDArray[np.float64]

_WORTH: Final = np.append(0.5 + 0.5 / np.log2(2.0 + np.arange(PLACES)), 0.0)
"""(PLACES + 1,) mean of the hit rate and of the discounted gain of a place; the last one, -1, is no
place at all."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the O options, and behind them of the A lists, as decayed sums over visits.

    An option of one list fills up with the prior what the list does not rank; the list itself does
    not. In the following C is O + A, or only O where the lists are not looked at.

    Attributes:
        visits: how many there were.
        hits: (C,) those that each held in its first `PLACES`.
        worth: (C,) sum of what the places are worth.
        excess: (C,) sum of how much more that was than the prior's.
        excess_squared: (C,) sum of its squares.
        ts_s: event time of the newest visit, s.
    """

    visits: float
    hits: Floats
    worth: Floats
    excess: Floats
    excess_squared: Floats
    ts_s: float

    @classmethod
    def none(cls, columns: int) -> Evidence:
        """Return what is known before the first visit."""
        nothing = np.zeros(columns)
        return cls(0.0, nothing, nothing, nothing, nothing, 0.0)

    @property
    def hit_rates(self) -> Floats:
        """Return (C,) share of the visits that each held; 0 before the first one."""
        return self.hits / max(self.visits, 1e-12)

    def learned(self, places: NDArray[np.int64], ts_s: float) -> Evidence:
        """Return what is known after a visit.

        Args:
            places: (C,) place of the visited item in each one's list, from 0; -1 = not there.
            ts_s: event time of the visit, s; one that comes late counts as the newest.

        >>> evidence = Evidence.none(2).learned(np.array([-1, 0]), ts_s=0.0)
        >>> evidence.visits, evidence.hits.tolist(), evidence.excess.tolist()
        (1.0, [0.0, 1.0], [0.0, 1.0])
        """
        age_s = max(ts_s - self.ts_s, 0.0) if self.visits else 0.0
        kept = 0.5 ** (age_s / HALF_LIFE_S) * (1 - 1 / VISITS_KEPT)
        worth = _WORTH[places]
        excess = worth - worth[0]
        return Evidence(
            kept * self.visits + 1,
            kept * self.hits + (places >= 0),
            kept * self.worth + worth,
            kept * self.excess + excess,
            kept * self.excess_squared + excess**2,
            max(self.ts_s, ts_s),
        )

    def surely_above_prior(self) -> Floats:
        """Return (C,) by how much the worth of a visit is above the prior's, with some certainty.

        The mean over the visits and `PRIOR_VISITS` that say "no difference", less `SURENESS`
        standard errors; 0 for the prior itself.
        """
        n = self.visits + PRIOR_VISITS
        mean = self.excess / n
        variance = np.maximum(self.excess_squared / n - mean**2, 0)
        return np.asarray(mean - SURENESS * np.sqrt(variance / n))


def choose(evidence: Evidence, current: int, options: int) -> int:
    """Return the option to use.

    Args:
        evidence: of the options and the lists.
        current: the option in use; it stays unless another is better by `SWITCH_GAIN`, and unless
            the prior is better.
        options: how many there are.

    >>> evidence = Evidence.none(2)
    >>> choose(evidence, current=0, options=2)
    0
    >>> for _ in range(100):
    ...     evidence = evidence.learned(np.array([-1, 3]), ts_s=0.0)
    >>> choose(evidence, current=0, options=2)
    1
    """
    if evidence.visits < PRIOR_VISITS:
        return 0
    above = evidence.surely_above_prior()[:options]
    best = int(above.argmax())
    if above[current] < 0:
        return best
    margin = SWITCH_GAIN * evidence.worth[current] / max(evidence.visits, 1.0)
    return best if above[best] > above[current] + margin else current


def reciprocal_ranks(ranks: NDArray[np.int64], softening: float) -> Floats:
    """Return 1 / (softening + rank) where a list ranks a candidate, 0 where it does not.

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods" (2009).

    Args:
        ranks: (n, A) rank of n candidates in A lists, 0 = best, -1 = not in the list.
        softening: their k.

    >>> reciprocal_ranks(np.array([[0, -1, 5]]), 5.0).tolist()
    [[0.2, 0.0, 0.1]]
    """
    return np.where(ranks >= 0, 1 / (softening + np.maximum(ranks, 0)), 0.0)


def order_ranks(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (n, H) the rank of each of n candidates by each of H scores; -1 where it is not > 0.

    Args:
        scores: (n, H), bigger is better; of equal ones the first wins.

    >>> order_ranks(np.array([[1.0], [0.0], [3.0], [1.0]], np.float32)).T.tolist()
    [[1, -1, 0, 2]]
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    ranks = np.empty(scores.shape, np.int64)
    np.put_along_axis(ranks, order, np.arange(len(scores))[:, None], axis=0)
    return np.where(scores > 0, ranks, -1)


def blend_weights(
    evidence: Evidence,
    prior: Floats,
    families: NDArray[np.int64],
    personal: NDArray[np.bool_],
    powers: tuple[float, ...],
) -> Floats:
    """Return the (O, A) weights of the options: the prior, each list alone, and learned blends.

    O is 1 + A + 2 * len(powers), in this order. An option of one list fills up with the prior what
    the list does not rank. A learned blend weighs each list by a power of its hit rate; of a
    family, lists that measure the same thing at different speeds, only the best counts, because
    together they would outvote all others. Then come the same blends with the personal lists first:
    what is the same for everyone only fills up.

    Args:
        evidence: of these options and the lists.
        prior: (A,) weights that were set by judgement, >= 0; they stand for `PRIOR_VISITS`.
        families: (A,) number of the family of each list.
        personal: (A,) whether a list depends on what its person did.
        powers: of the learned blends.
    """
    lists = len(prior)
    believed = prior / max(prior.max(), 1e-12) * 0.1  # as hit rates: a good list holds one in ten
    rates = (evidence.worth[-lists:] + PRIOR_VISITS * believed) / (evidence.visits + PRIOR_VISITS)
    best_of_family = np.zeros(families.max() + 1)
    np.maximum.at(best_of_family, families, rates)
    chosen = np.where(rates >= best_of_family[families], rates, 0)
    weights = [prior, *(np.eye(lists) + _FILL * prior)]
    learned = [chosen**power / max((chosen**power).max(), 1e-300) for power in powers]
    first = [np.where(personal, each, _FIRST * each) for each in learned]
    return np.array([*weights, *learned, *first])


def first_places(scores: Floats, places: int = PLACES) -> NDArray[np.int64]:
    """Return (places, C) the candidates that lead each list, -1 behind its end.

    Args:
        scores: (n, C), bigger is better; of equal ones the first wins, and -inf is not in the list.
        places: how many.
    """
    found = np.argsort(-scores, axis=0, kind="stable")[:places]
    listed = np.full((places, scores.shape[1]), -1)
    held = np.take_along_axis(scores, found, axis=0) > -np.inf
    listed[: len(found)] = np.where(held, found, -1)
    return listed
