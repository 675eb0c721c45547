"""What is believed of a click rate before an item was shown: all items -> category -> item.

The model is a Beta-binomial in two levels. A category's rate is Beta around the rate of all items,
an item's rate is Beta around that of its category. Each level has a strength: the impressions that
the level above weighs in the level below. Strengths are learned by moments, so a catalogue whose
categories say nothing falls back to one prior for all, by itself.

Evidence is weighed as in Kleinman (1973), "Proportions with extraneous variance": n impressions of
one item tell of its category no more than `strength` impressions could. A bandit shows good items
more often; pooled clicks over pooled impressions would take their rate for that of the category.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_STRENGTH_BOUNDS: Final = (20.0, 1_000.0)  # impressions that a category may weigh in an item
_CATEGORY_BOUNDS: Final = (20.0, 100_000.0)  # impressions that all items may weigh in a category
_RATE_BOUNDS: Final = (1e-4, 0.5)
_LEAST_IMPRESSIONS: Final = 99  # of all items together, before anything is learned
_ROUNDS: Final = 5  # of weights and strength in turn

Floats = NDArray[np.float64]
Codes = NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClickPrior:
    """The prior of every item, those never seen included.

    Attributes:
        rate: of all items; before anything was shown, one click in a hundred.
        strength: impressions that a category's rate weighs in an item's.
        category_strength: impressions that `rate` weighs in a category's.
        category_rates: (c,) of the categories, by code.
        uncategorised_rate: of the items without a category.
    """

    rate: float = 0.01
    strength: float = 100.0
    category_strength: float = 100.0
    category_rates: Floats = field(default_factory=lambda: np.empty(0))
    uncategorised_rate: float = 0.01

    def of(self, categories: Codes, predicted: Floats | None = None) -> tuple[Floats, Floats]:
        """Return alpha and beta of items, (n,) each.

        Args:
            categories: (n, w) codes of each item's categories, -1 = none. The mean of an item's
                prior is the mean rate of its categories, a little lowered (`careful_rate`); a
                category that was not there when the prior was learned has the rate of all items.
            predicted: (n,) click probabilities of a model that is calibrated on impressions, in
                place of the rates of the categories; NaN where there is none.

        >>> prior = ClickPrior(0.02, 100, 100, np.array([0.04]), 0.01)
        >>> alpha, beta = prior.of(np.array([[0], [5], [-1]]))
        >>> (alpha + beta).round(6).tolist(), bool(alpha[0] > alpha[1] > alpha[2])
        ([100.0, 100.0, 100.0], True)
        """
        given = categories >= 0  # (n, w)
        never_met = len(self.category_rates)
        rates = np.append(self.category_rates, self.rate)[np.minimum(categories, never_met)]
        of_categories = (rates * given).sum(axis=1) / np.maximum(given.sum(axis=1), 1)
        means = np.where(given.any(axis=1), of_categories, self.uncategorised_rate)
        if predicted is not None:
            means = np.where(np.isnan(predicted), means, np.clip(predicted, *_RATE_BOUNDS))
        low = careful_rate(means, self.strength)
        return low * self.strength, (1 - low) * self.strength


def learn_click_prior(
    impressions: NDArray[Any], clicks: NDArray[Any], categories: Codes
) -> ClickPrior:
    """Return the prior of a catalogue, learned from all its items.

    Args:
        impressions: (n,) times each item was shown; an item never shown says nothing.
        clicks: (n,) clicks; those that no impression explains say nothing.
        categories: (n, w) codes of each item's categories, -1 = none.

    >>> learn_click_prior(np.zeros(2), np.array([5, 9]), np.zeros((2, 0), np.int32)).rate
    0.01
    """
    used = np.flatnonzero(impressions)
    shown = impressions[used].astype(np.float64)
    clicked = np.minimum(clicks[used], shown)
    if shown.sum() < _LEAST_IMPRESSIONS or clicked.sum() == 0:
        return ClickPrior()
    n = int(categories.max(initial=-1)) + 1
    item, code = _memberships(categories[used], n)
    shown, clicked = shown[item], clicked[item]
    strength = _strength(shown, clicked / shown, code, n + 1, _STRENGTH_BOUNDS)
    weight, hits = evidence(shown, clicked, strength)
    weight, hits = _sums(weight, code, n + 1), _sums(hits, code, n + 1)  # (n + 1,)
    met = weight > 0
    all_items = np.zeros(int(met.sum()), np.int64)
    rates = hits[met] / weight[met]
    category_strength = _strength(weight[met], rates, all_items, 1, _CATEGORY_BOUNDS)
    total, total_hits = evidence(weight[met], hits[met], category_strength)
    rate = float(np.clip(total_hits.sum() / total.sum(), *_RATE_BOUNDS))
    shrunk = shrunk_rate(weight, hits, rate, category_strength)
    shrunk = np.clip(shrunk, *_RATE_BOUNDS)
    return ClickPrior(rate, strength, category_strength, shrunk[:-1], float(shrunk[-1]))


def evidence(
    impressions: NDArray[Any], clicks: NDArray[Any], strength: Any
) -> tuple[Floats, Floats]:
    """Return what impressions and clicks of items weigh in the rate of their category.

    Args:
        impressions: (...) of each item.
        clicks: (...) at most as many.
        strength: of the category's rate in an item's; a number, or an array that broadcasts.

    Returns:
        (...) impressions and clicks of the category that they are worth; less than `strength`.

    >>> weight, hits = evidence(np.array([0.0, 100.0, 1e9]), np.array([0.0, 2.0, 1e7]), 100)
    >>> weight.round().tolist(), hits.round(2).tolist()
    ([0.0, 50.0, 100.0], [0.0, 1.0, 1.0])
    """
    share = strength / (strength + np.asarray(impressions, np.float64))
    return share * impressions, share * clicks


def shrunk_rate(weight: Floats, hits: Floats, rate: Any, strength: Any) -> Floats:
    """Return rates shrunk towards `rate`, which weighs `strength` impressions.

    >>> shrunk_rate(np.array([0.0, 100.0]), np.array([0.0, 3.0]), 0.01, 100).tolist()
    [0.01, 0.02]
    """
    return np.asarray((strength * rate + hits) / (strength + weight))


def careful_rate(rate: Floats, strength: Any) -> Floats:
    """Return a rate one standard deviation of the items' rates lower, at least half of it.

    An arm must earn its slots: pessimism saves more regret than any choice of algorithm (Bendada,
    Salha and Bontempelli 2020, "Carousel personalization in music streaming apps", section 4).

    >>> careful_rate(np.array([0.01, 0.2]), 99).tolist()
    [0.005, 0.16]
    """
    deviation = np.sqrt(rate * (1 - rate) / (strength + 1))
    return np.asarray(np.maximum(rate - deviation, rate / 2))


def _memberships(categories: Codes, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the item and the code of each membership; items without a category share code n."""
    given = categories >= 0
    item, column = np.nonzero(given)
    bare = np.flatnonzero(~given.any(axis=1))
    codes = categories[item, column].astype(np.int64)
    return np.concatenate([item, bare]), np.concatenate([codes, np.full(len(bare), n, np.int64)])


def _sums(values: Floats, group: NDArray[np.int64], n_groups: int) -> Floats:
    return np.asarray(np.bincount(group, values, n_groups), np.float64)


def _strength(
    shown: Floats,
    rates: Floats,
    group: NDArray[np.int64],
    n_groups: int,
    bounds: tuple[float, float],
) -> float:
    """Return alpha + beta of the Beta-binomial of rates around those of their groups.

    Kleinman (1973): with weights w, groups' rates P and v = P (1 - P), the sum of
    w (rate - P)^2 expects the sum of v a (rho + (1 - rho) / shown), where a = w (1 - w / sum of w)
    and rho = 1 / (strength + 1).
    """
    least, most = bounds
    strength = most
    for _ in range(_ROUNDS):
        w, _ = evidence(shown, shown, strength)
        total = _sums(w, group, n_groups)
        mean = _sums(w * rates, group, n_groups) / np.maximum(total, 1e-300)
        expected = (mean * (1 - mean))[group] * w * (1 - w / total[group])  # v a
        spread = (w * (rates - mean[group]) ** 2).sum()
        beyond_noise = spread - (expected / shown).sum()
        scale = (expected * np.maximum(1 - 1 / shown, 0)).sum()
        if scale <= 0:
            return least  # each group has one member
        strength = float(np.clip(scale / max(beyond_noise, 1e-300) - 1, least, most))
    return strength
