"""The Beta-Bernoulli bandit: posteriors, and Thompson sampling by its law.

Law: a slot's propensity is the probability with which its arm was in fact drawn. The shares of
Thompson sampling are computed first and the arm is drawn from them, so the propensity is exact by
construction; what error the quadrature has only moves the policy a little.

What is believed of an arm before it is shown is in `bandit_prior`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, zeta

LEAST_PROPENSITY: Final = 1e-3
"""No arm on offer is drawn more rarely, so that no logged slot weighs more than 1 / this."""

SHARPNESS: Final = 2.0
"""Arms are drawn as if so many times as much had been seen of them.

Chapelle and Li (2011), "An empirical evaluation of Thompson sampling", posterior
reshaping: where the horizon is short, Thompson sampling explores for a future that does not come.
"""

_NODES: Final = 640  # of the quadrature, shared by the arms; the cost is arms * nodes
_REACH: Final = 7.0  # standard deviations of the log-odds that the nodes of an arm span
_TINY: Final = -600.0  # logarithm of what counts as 0: where exp underflows, numpy's is slow

Floats = NDArray[np.float64]


def posterior(
    prior: tuple[Any, Any], impressions: NDArray[Any], clicks: NDArray[Any]
) -> tuple[Floats, Floats]:
    """Return alpha and beta of each arm after what was seen, (..., n) each.

    Clicks beyond the impressions come from elsewhere (a search, a log without impressions) and
    are no evidence of a rate. Impressions may be weighed: by the probability that they were
    examined (`examination`), or by their age (`faded`).

    Args:
        prior: alpha and beta, each a number or (..., n).
        impressions: (..., n) times each arm was shown.
        clicks: (..., n) of them.

    >>> alpha, beta = posterior((1, 99), np.array([0.0, 10.0]), np.array([7.0, 2.0]))
    >>> alpha.tolist(), beta.tolist()
    ([1.0, 3.0], [99.0, 107.0])
    """
    shown = np.asarray(impressions, np.float64)
    clicked = np.minimum(np.asarray(clicks, np.float64), shown)
    return prior[0] + clicked, prior[1] + (shown - clicked)


def sharpened(alpha: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Return the alpha and beta that arms are drawn from: the mean of each, less spread.

    >>> sharpened(np.array([1.0]), np.array([99.0]))
    (array([2.]), array([198.]))
    """
    return SHARPNESS * alpha, SHARPNESS * beta


def faded(counts: Floats, age: float, half_life: float) -> Floats:
    """Return impressions or clicks weighed down by their age; the prior is not touched by it.

    Measured on headline experiments (`benchmarks/bandit.py --variants`): where rates hold still it
    costs, so live posteriors do not fade.

    Args:
        counts: (...) as of then.
        age: since then, in the unit of `half_life`.
        half_life: after which they weigh half.

    >>> faded(np.array([8.0, 2.0]), 2, 1).tolist()
    [2.0, 0.5]
    """
    return np.asarray(counts * 0.5 ** (age / half_life))


def thompson_shares(
    alpha: NDArray[np.float64], beta: NDArray[np.float64], nodes_per_arm: int | None = None
) -> Floats:
    """Return the probability of each arm to have the largest of one draw each, (..., n).

    P(i) = integral of f_i(x) * product over k != i of F_k(x) dx, by the trapezoid rule over the
    log-odds of x, at nodes laid around every posterior.

    Args:
        alpha: (..., n) above 0; the axes before the last one hold problems of their own.
        beta: (..., n) above 0.
        nodes_per_arm: fewer of them are faster: 16 are within 0.01, and within 0.001 on average.

    >>> thompson_shares(np.array([1.0, 1.0]), np.array([9.0, 9.0])).round(6).tolist()
    [0.5, 0.5]
    """
    return _shares(*_densities(alpha, beta, nodes_per_arm))


def slot_shares(shares: Floats) -> Floats:
    """Return the propensities of the arms in a slot, (..., n), from their Thompson shares.

    As much of the uniform distribution is mixed in as the least propensity needs.

    >>> slot_shares(np.array([1.0, 0.0])).round(6).tolist()
    [0.999, 0.001]
    """
    n = shares.shape[-1]
    mixed = min(LEAST_PROPENSITY * n, 1.0)
    return np.asarray(shares * (1 - mixed) + mixed / n)


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
        shares = slot_shares(_shares(density[left], log_cdf[left], weights))
        drawn = int(np.searchsorted(shares.cumsum(), rng.random(), side="right"))
        drawn = min(drawn, len(left) - 1)  # the sum may end a rounding error below 1
        arms[slot], propensities[slot] = left[drawn], shares[drawn]
        left = np.delete(left, drawn)
    return arms, propensities


def _shares(density: Floats, log_cdf: Floats, weights: Floats) -> Floats:
    """Integrate f_i * product of the other F_k for each arm i; normalised to sum 1."""
    others = log_cdf.sum(axis=-2, keepdims=True) - log_cdf  # (..., n, nodes)
    np.exp(np.maximum(others, _TINY, out=others), out=others)
    others *= density
    shares = np.matmul(others, weights[..., None])[..., 0]  # (..., n)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _densities(
    alpha: NDArray[np.float64], beta: NDArray[np.float64], nodes_per_arm: int | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return density and log of the distribution function of the log-odds of each arm.

    Returns:
        (..., n, nodes) densities, (..., n, nodes) logarithms of distribution functions, and the
        (..., nodes) weights of the trapezoid rule.
    """
    n = alpha.shape[-1]
    centre = digamma(alpha) - digamma(beta)
    # The second polygamma function is the Hurwitz zeta function at 2.
    deviation = np.sqrt(zeta(2, alpha) + zeta(2, beta))
    spans = np.linspace(-_REACH, _REACH, nodes_per_arm or max(_NODES // n, 20))
    nodes = (centre[..., None] + deviation[..., None] * spans).reshape(*alpha.shape[:-1], -1)
    nodes.sort(axis=-1)
    halves = np.diff(nodes, axis=-1) / 2
    weights = np.zeros_like(nodes)
    weights[..., 1:] = halves
    weights[..., :-1] += halves
    # At x = 1 / (1 + exp(-node)): log x = node + log (1 - x), stable in both tails.
    log_rest = -np.logaddexp(0, nodes)  # (..., nodes)
    density = (alpha + beta)[..., None] * log_rest[..., None, :]  # (..., n, nodes), a logarithm
    density += alpha[..., None] * nodes[..., None, :]
    density -= betaln(alpha, beta)[..., None]
    np.exp(np.maximum(density, _TINY, out=density), out=density)
    cdf = np.empty_like(density)
    cdf[..., 0] = 0
    np.add(density[..., 1:], density[..., :-1], out=cdf[..., 1:])
    cdf[..., 1:] *= halves[..., None, :]
    np.cumsum(cdf, axis=-1, out=cdf)
    cdf /= cdf[..., -1:].copy()
    np.maximum(cdf, np.exp(_TINY), out=cdf)
    return density, np.log(cdf, out=cdf), weights
