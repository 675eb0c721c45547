"""Off-policy evaluation: what a policy would have earned, from the log of another one.

Every estimator is the mean of one contribution per logged round, so that each has an interval by
the same few lines. A weight is the probability with which the judged policy takes the logged
action, over the propensity with which the logging policy took it. What the estimators need: true
propensities, and no action of the judged policy that the log could not show.

A reward model makes the doubly robust ones precise; they stay right where it is wrong, as long as
the propensities are true. Rounds of one group (a request, a person) need not be independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

SHRINKAGES: Final = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, np.inf])

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of a policy: expected reward of a round.

    Attributes:
        value: the estimate.
        low, high: ends of its interval; NaN where its bias is not known.
    """

    value: float
    low: float
    high: float


def importance_weights(target: Floats, propensities: Floats) -> Floats:
    """Return the (n,) weights of logged rounds.

    Args:
        target: (n,) probability in [0, 1] of the logged action under the judged policy.
        propensities: (n,) in (0, 1], as logged.

    Raises:
        ValueError: a probability is outside its bounds.

    >>> importance_weights(np.array([0.5, 0.0]), np.array([0.25, 0.1])).tolist()
    [2.0, 0.0]
    """
    for name, values, inside in (
        ("propensities in (0, 1]", propensities, (propensities > 0) & (propensities <= 1)),
        ("probabilities in [0, 1]", target, (target >= 0) & (target <= 1)),
    ):
        if not inside.all():
            at = int(np.argmin(inside))
            raise ValueError(f"round {at} has {values[at]}, expected {name}: the log is not usable")
    return target / propensities


def effective_rounds(weights: Floats) -> float:
    """Return how many unweighted rounds the weighted ones are worth (Kish 1965).

    >>> effective_rounds(np.array([1.0, 1.0])), effective_rounds(np.array([9.0, 0.0]))
    (2.0, 1.0)
    """
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def ips(rewards: Floats, weights: Floats) -> Floats:
    """Return the (n,) contributions of inverse propensity scoring (Horvitz, Thompson 1952).

    Args:
        rewards: (n,) as logged.
        weights: (n,) from `importance_weights`.
    """
    return weights * rewards


def clipped_ips(rewards: Floats, weights: Floats, largest: float) -> Floats:
    """Return the (n,) contributions with no weight above `largest` (Ionides 2008): biased, calm."""
    return np.minimum(weights, largest) * rewards


def snips(rewards: Floats, weights: Floats) -> Floats:
    """Return the (n,) contributions of self-normalised IPS (Swaminathan and Joachims 2015).

    The estimate is sum w r / sum w. A contribution is the estimate plus the influence of its round,
    w (r - estimate) / mean w: their mean is the estimate and their spread is its error.
    """
    if not weights.any():
        return np.zeros(len(weights))
    value = np.average(rewards, weights=weights)
    return np.asarray(value + weights * (rewards - value) / weights.mean())


def direct_method(expected: Floats) -> Floats:
    """Return the (n,) contributions of a reward model alone: as biased as the model.

    Args:
        expected: (n,) reward that the model expects of the judged policy in each round.
    """
    return expected


def doubly_robust(rewards: Floats, weights: Floats, predicted: Floats, expected: Floats) -> Floats:
    """Return the (n,) contributions of the doubly robust estimator (Dudik et al. 2011).

    Args:
        rewards: (n,) as logged.
        weights: (n,) from `importance_weights`.
        predicted: (n,) reward that a model expects of the logged action.
        expected: (n,) reward that it expects of the judged policy in that round.

    >>> doubly_robust(np.array([1.0]), np.array([2.0]), np.array([0.25]), np.array([0.5])).tolist()
    [2.0]
    """
    return expected + weights * (rewards - predicted)


def shrunk_doubly_robust(
    rewards: Floats, weights: Floats, predicted: Floats, expected: Floats
) -> Floats:
    """Return the (n,) contributions of DR with optimistic shrinkage (Su et al. 2020, DRos).

    Weights become s w / (w^2 + s). Of `SHRINKAGES`, s is the one with the least estimate of the
    mean squared error: the variance, and the square of the bias that shrinking brings, with the
    error of its own estimate. What bias is left, the log does not tell.
    """
    errors = rewards - predicted
    best, least = expected + weights * errors, np.inf
    for s in SHRINKAGES:
        shrunk = weights if np.isinf(s) else s * weights / (weights**2 + s)
        contributions = expected + shrunk * errors
        shift = (shrunk - weights) * errors
        risk = float(shift.mean() ** 2 + (shift.var() + contributions.var()) / len(rewards))
        if risk < least:
            best, least = contributions, risk
    return best


def estimate(
    contributions: Floats, groups: NDArray[np.int64] | None = None, confidence: float = 0.95
) -> Estimate:
    """Return the mean of contributions, with an interval of the normal distribution.

    Args:
        contributions: (n,) at least one.
        groups: (n,) of dependent rounds, numbered from 0; None where all are independent.
        confidence: of the interval.

    >>> estimate(np.array([0.0, 1.0, 0.0, 1.0])).value
    0.5
    """
    value, n = float(contributions.mean()), len(contributions)
    deviations = contributions - value
    if groups is not None:
        deviations = np.asarray(np.bincount(groups, deviations), np.float64)
    units = len(deviations)
    error = float(np.sqrt((deviations**2).sum() * units / max(units - 1, 1)) / n)
    reach = float(ndtri((1 + confidence) / 2)) * error
    return Estimate(value, value - reach, value + reach)


def bootstrap_estimate(
    contributions: Floats,
    rng: np.random.Generator,
    resamples: int = 1_000,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean of contributions, with the percentile interval of the bootstrap.

    Rounds with equal contributions are drawn together: a log of clicks has few distinct ones.

    Args:
        contributions: (n,) of independent rounds, at least one.
        rng: the generator.
        resamples: how often to draw.
        confidence: of the interval.
    """
    values, counts = np.unique(contributions, return_counts=True)
    n = len(contributions)
    means = rng.multinomial(n, counts / n, resamples) @ values / n
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(contributions.mean()), float(low), float(high))
