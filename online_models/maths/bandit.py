"""The Beta-Bernoulli bandit: a pessimistic prior, posteriors, and Thompson sampling by its law.

Law: a slot's propensity is the probability with which its arm was in fact drawn. The shares of
Thompson sampling are computed first and the arm is drawn from them, so the propensity is exact by
construction; what error the quadrature has only moves the policy a little.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, polygamma

DEFAULT_PRIOR: Final = (1.0, 99.0)
"""Alpha and beta before anything was shown: one click in a hundred, weakly held."""

LEAST_PROPENSITY: Final = 1e-3
"""No arm on offer is drawn more rarely, so that no logged slot weighs more than 1 / this."""

_STRENGTH_BOUNDS: Final = (20.0, 1_000.0)  # impressions that a prior may weigh
_RATE_BOUNDS: Final = (1e-4, 0.5)
_NODES: Final = 640  # of the quadrature, shared by the arms; the cost is arms * nodes
_REACH: Final = 7.0  # standard deviations of the log-odds that the nodes of an arm span

Floats = NDArray[np.float64]


def empirical_bayes_prior(
    impressions: NDArray[np.float64] | NDArray[np.uint32],
    clicks: NDArray[np.float64] | NDArray[np.uint32],
) -> tuple[float, float]:
    """Return a prior for arms, learned from all of them and set below their mean.

    The mean and strength are the moments of a Beta-binomial (Skellam 1948). The mean is then put
    one standard deviation of the rates lower, at least to half: an arm must earn its slots.
    Pessimism saves more regret than any choice of algorithm (Bendada, Salha and Bontempelli 2020,
    "Carousel personalization in music streaming apps", section 4).

    Args:
        impressions: (n,) times each arm was shown; an arm never shown says nothing.
        clicks: (n,) clicks; those that no impression explains say nothing.

    Returns:
        alpha and beta.

    >>> empirical_bayes_prior(np.zeros(3), np.array([5.0, 0.0, 9.0]))
    (1.0, 99.0)
    """
    shown = np.asarray(impressions, np.float64)
    clicked = np.minimum(np.asarray(clicks, np.float64), shown)
    clicked, shown = clicked[shown > 0], shown[shown > 0]
    total = shown.sum()
    if total < DEFAULT_PRIOR[1] or clicked.sum() == 0:
        return DEFAULT_PRIOR
    rate = float(np.clip(clicked.sum() / total, *_RATE_BOUNDS))
    strength = _strength(shown, clicked / shown, rate)
    deviation = np.sqrt(rate * (1 - rate) / (strength + 1))
    low = float(max(rate - deviation, rate / 2))
    return low * strength, (1 - low) * strength


def _strength(shown: Floats, rates: Floats, mean: float) -> float:
    """Return alpha + beta of the Beta-binomial with these moments, within bounds."""
    least, most = _STRENGTH_BOUNDS
    total = shown.sum()
    freedom = total - (shown**2).sum() / total  # 0 for a single arm
    if freedom <= 0:
        return least
    spread = (shown * (rates - mean) ** 2).sum()
    noise = mean * (1 - mean)
    between = (spread - noise * (len(shown) - 1)) / freedom  # variance of the true rates
    return float(np.clip(noise / between - 1, least, most)) if between > 0 else most


def posterior(
    prior: tuple[float, float],
    impressions: NDArray[np.float64] | NDArray[np.uint32],
    clicks: NDArray[np.float64] | NDArray[np.uint32],
) -> tuple[Floats, Floats]:
    """Return alpha and beta of each arm after what was seen, (n,) each.

    Clicks beyond the impressions come from elsewhere (a search, a log without impressions) and
    are no evidence of a rate.

    >>> alpha, beta = posterior((1, 99), np.array([0.0, 10.0]), np.array([7.0, 2.0]))
    >>> alpha.tolist(), beta.tolist()
    ([1.0, 3.0], [99.0, 107.0])
    """
    shown = np.asarray(impressions, np.float64)
    clicked = np.minimum(np.asarray(clicks, np.float64), shown)
    return prior[0] + clicked, prior[1] + shown - clicked


def thompson_shares(alpha: NDArray[np.float64], beta: NDArray[np.float64]) -> Floats:
    """Return the probability of each arm to have the largest of one draw each, (n,).

    P(i) = integral of f_i(x) * product over k != i of F_k(x) dx, by the trapezoid rule over the
    log-odds of x, at nodes laid around every posterior.

    Args:
        alpha: (n,) above 0.
        beta: (n,) above 0.

    >>> thompson_shares(np.array([1.0, 1.0]), np.array([9.0, 9.0])).round(6).tolist()
    [0.5, 0.5]
    """
    return _shares(*_densities(alpha, beta))


def thompson_slots(
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
    slots: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], Floats]:
    """Fill slots by Thompson sampling without replacement, a fresh draw for each slot.

    Args:
        alpha: (n,) above 0.
        beta: (n,) above 0.
        slots: how many to fill; no more than there are arms.
        rng: the generator.

    Returns:
        (s,) arms in the order of the slots, and (s,) the probability with which each was drawn,
        given the slots before it.

    >>> arms, shares = thompson_slots(np.ones(1), np.ones(1), 2, np.random.default_rng(0))
    >>> arms.tolist(), shares.tolist()
    ([0], [1.0])
    """
    n = len(alpha)
    slots = max(min(slots, n), 0)
    arms = np.empty(slots, np.int64)
    propensities = np.empty(slots)
    left = np.arange(n)
    if slots:
        density, log_cdf, weights = _densities(alpha, beta)
    for slot in range(slots):
        shares = _floored(_shares(density[left], log_cdf[left], weights))
        drawn = int(np.searchsorted(shares.cumsum(), rng.random(), side="right"))
        drawn = min(drawn, len(left) - 1)  # the sum may end a rounding error below 1
        arms[slot], propensities[slot] = left[drawn], shares[drawn]
        left = np.delete(left, drawn)
    return arms, propensities


def _floored(shares: Floats) -> Floats:
    """Mix in as much of the uniform distribution as the least propensity needs."""
    mixed = min(LEAST_PROPENSITY * len(shares), 1.0)
    return shares * (1 - mixed) + mixed / len(shares)


def _shares(density: Floats, log_cdf: Floats, weights: Floats) -> Floats:
    """Integrate f_i * product of the other F_k for each arm i; normalised to sum 1."""
    others = np.exp(log_cdf.sum(axis=0) - log_cdf)  # (n, nodes)
    shares = (density * others) @ weights
    return np.asarray(shares / shares.sum())


def _densities(
    alpha: NDArray[np.float64], beta: NDArray[np.float64]
) -> tuple[Floats, Floats, Floats]:
    """Return density and log of the distribution function of the log-odds of each arm.

    Returns:
        (n, nodes) densities, (n, nodes) logarithms of distribution functions, and the (nodes,)
        weights of the trapezoid rule.
    """
    centre = digamma(alpha) - digamma(beta)
    deviation = np.sqrt(polygamma(1, alpha) + polygamma(1, beta))
    spans = np.linspace(-_REACH, _REACH, max(_NODES // len(alpha), 20))
    nodes = np.unique(centre[:, None] + deviation[:, None] * spans)  # sorted
    gaps = np.diff(nodes)
    # log x and log (1 - x) at x = 1 / (1 + exp(-node)), stable in both tails
    log_x, log_rest = -np.logaddexp(0, -nodes), -np.logaddexp(0, nodes)
    density = np.exp(
        alpha[:, None] * log_x + beta[:, None] * log_rest - betaln(alpha, beta)[:, None]
    )
    cdf = np.zeros_like(density)
    np.cumsum((density[:, 1:] + density[:, :-1]) / 2 * gaps, axis=1, out=cdf[:, 1:])
    cdf /= cdf[:, -1:]
    weights = np.zeros_like(nodes)
    weights[1:] += gaps / 2
    weights[:-1] += gaps / 2
    return density, np.log(np.maximum(cdf, 1e-300)), weights
