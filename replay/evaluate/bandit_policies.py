"""The policies that play the bandit environment: the product's own, and the textbook's.

The product's is built from the functions that serving uses: those of `bandit_prior`, `posterior`,
`sharpened`, `thompson_shares`, `slot_shares`. The impressions that independent draws give each arm
until the next update have a multinomial distribution with exactly these shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.maths.bandit import posterior, sharpened, slot_shares, thompson_shares
from online_models.maths.bandit_prior import (
    ClickPrior,
    careful_rate,
    evidence,
    learn_click_prior,
    shrunk_rate,
)
from replay.evaluate.bandit_environment import Counts, Policy, Problems, Seen

NODES_PER_ARM = 16
_PENDING_STEPS = 5  # times between two updates that a deterministic policy counts what it does

Floats = NDArray[np.float64]


class Memoryless:
    """A policy that starts every experiment anew."""

    def start_week(self) -> None:
        """Learn nothing."""

    def end(self, problems: Problems, seen: Seen) -> None:
        """Remember nothing."""


class Shares(Memoryless):
    """Draws every impression independently.

    Args:
        shares: what was seen -> (seeds, p, n) probabilities of the arms.
    """

    def __init__(self, shares: Callable[[Seen], Floats]) -> None:
        self._shares = shares

    def allocate(self, seen: Seen, rounds: Counts, rng: np.random.Generator) -> Counts:
        """See `Policy`."""
        return np.asarray(rng.multinomial(rounds, self._shares(seen)))


class Index(Memoryless):
    """Shows the arm whose index is largest, and counts what is pending as shown.

    Args:
        index: (impressions with those pending, impressions, clicks) -> (seeds, p, n).
    """

    def __init__(self, index: Callable[[Floats, Floats, Floats], Floats]) -> None:
        self._index = index

    def allocate(self, seen: Seen, rounds: Counts, rng: np.random.Generator) -> Counts:
        """See `Policy`."""
        shown = np.zeros(seen.clicks.shape, np.int64)
        part = -(-rounds // _PENDING_STEPS)
        for step in range(_PENDING_STEPS):
            with np.errstate(divide="ignore", invalid="ignore"):
                index = self._index(
                    seen.impressions + seen.pending + shown, seen.impressions, seen.clicks
                )
            index[np.isnan(index)] = np.inf
            chosen = _largest(index, rng)
            now = np.clip(rounds - step * part, 0, part)[None, :, None]
            np.put_along_axis(shown, chosen, np.take_along_axis(shown, chosen, 2) + now, 2)
        return shown


class Thompson:
    """The product's bandit: a prior learned from earlier weeks, and Thompson sampling.

    Args:
        learned: whether the prior is learned; else it is Beta(1, 1).
        hierarchical: whether the arms of an experiment share its rate, as items do that of their
            category; else there is one prior for all arms.
        careful: whether the prior is put lower (`careful_rate`).
        greedy: show the arm with the largest posterior mean instead of drawing.
        pending_fails: count impressions that may yet be clicked as failures.
        by_examination: count an impression by the probability that it was looked at.
        sharp: draw from the sharpened posterior.
    """

    def __init__(
        self,
        *,
        learned: bool = True,
        hierarchical: bool = True,
        careful: bool = True,
        greedy: bool = False,
        pending_fails: bool = False,
        by_examination: bool = True,
        sharp: bool = True,
    ) -> None:
        self._learned, self._hierarchical, self._careful = learned, hierarchical, careful
        self._greedy, self._pending_fails = greedy, pending_fails
        self._by_examination, self._sharp = by_examination, sharp
        self._outcomes: list[tuple[Counts, Floats, Floats]] = []
        self._priors: list[ClickPrior] = [ClickPrior()]

    def start_week(self) -> None:
        """Learn the prior of each seed from what that seed saw."""
        if not self._outcomes or not self._learned:
            return
        number = np.concatenate(
            [np.repeat(numbers, shown.shape[2]) for numbers, shown, _ in self._outcomes]
        )
        codes = number[:, None] if self._hierarchical else np.full((len(number), 1), -1)
        seeds = len(self._outcomes[0][1])
        shown, clicked = (
            np.concatenate([each[column].reshape(seeds, -1) for each in self._outcomes], axis=1)
            for column in (1, 2)
        )
        self._priors = [
            learn_click_prior(*seed, codes) for seed in zip(shown, clicked, strict=True)
        ]

    def allocate(self, seen: Seen, rounds: Counts, rng: np.random.Generator) -> Counts:
        """See `Policy`."""
        shown = self._shown(seen)
        alpha, beta = posterior(self._prior(shown, seen.clicks), shown, seen.clicks)
        if self._greedy:
            return rounds[:, None] * _one_hot(_largest(alpha / (alpha + beta), rng), alpha.shape)
        if self._sharp:
            alpha, beta = sharpened(alpha, beta)
        shares = slot_shares(thompson_shares(alpha, beta, NODES_PER_ARM))
        return np.asarray(rng.multinomial(rounds, shares))

    def end(self, problems: Problems, seen: Seen) -> None:
        """Remember what the arms did."""
        self._outcomes.append((problems.numbers, self._shown(seen), seen.clicks))

    def _shown(self, seen: Seen) -> Floats:
        impressions = seen.examined if self._by_examination else seen.impressions
        return impressions + seen.pending if self._pending_fails else impressions

    def _prior(self, impressions: Floats, clicks: Floats) -> tuple[Any, Any]:
        if not self._learned:
            return 1.0, 1.0
        strength = self._of_seeds("strength")
        if self._hierarchical:
            weight, hits = evidence(impressions, clicks, strength)
            rate = shrunk_rate(
                weight.sum(axis=2, keepdims=True),
                hits.sum(axis=2, keepdims=True),
                self._of_seeds("rate"),
                self._of_seeds("category_strength"),
            )
        else:
            rate = self._of_seeds("uncategorised_rate")
        if self._careful:
            rate = careful_rate(rate, strength)
        return rate * strength, (1 - rate) * strength

    def _of_seeds(self, name: str) -> Floats:
        return np.array([getattr(prior, name) for prior in self._priors])[:, None, None]


def uniform(seen: Seen) -> Floats:
    """Return equal shares."""
    return np.full(seen.clicks.shape, 1 / seen.clicks.shape[2])


def epsilon_greedy(epsilon: Callable[[Floats, int], Any]) -> Callable[[Seen], Floats]:
    """Return epsilon-greedy shares; arms with equal rates share the rest.

    Args:
        epsilon: (impressions of an experiment so far, arms) -> share of random impressions.
    """

    def shares(seen: Seen) -> Floats:
        n = seen.clicks.shape[2]
        rates = seen.clicks / np.maximum(seen.impressions, 1)
        best = (rates == rates.max(axis=2, keepdims=True)).astype(np.float64)
        best /= best.sum(axis=2, keepdims=True)
        so_far = (seen.impressions + seen.pending).sum(axis=2, keepdims=True)
        random = np.minimum(epsilon(so_far, n), 1.0)
        return np.asarray(random / n + (1 - random) * best)

    return shares


def ucb1(shown: Floats, impressions: Floats, clicks: Floats) -> Floats:
    """Return the index of UCB1 (Auer, Cesa-Bianchi and Fischer 2002, figure 1)."""
    log_t = np.log(np.maximum(shown.sum(axis=2, keepdims=True), 1))
    return np.asarray(clicks / impressions + np.sqrt(2 * log_t / shown))


def ucb1_tuned(shown: Floats, impressions: Floats, clicks: Floats) -> Floats:
    """Return the index of UCB1-Tuned (Auer, Cesa-Bianchi and Fischer 2002, section 4)."""
    log_t = np.log(np.maximum(shown.sum(axis=2, keepdims=True), 1))
    mean = clicks / impressions
    variance = mean * (1 - mean) + np.sqrt(2 * log_t / shown)
    return np.asarray(mean + np.sqrt(log_t / shown * np.minimum(variance, 0.25)))


def ucb_v(shown: Floats, impressions: Floats, clicks: Floats) -> Floats:
    """Return the index of UCB-V (Audibert, Munos and Szepesvari 2009).

    With zeta 1 and c 1/3, nearer to the greedy one than the proof of the paper allows.
    """
    log_t = np.log(np.maximum(shown.sum(axis=2, keepdims=True), 1))
    mean = clicks / impressions
    return np.asarray(mean + np.sqrt(2 * mean * (1 - mean) * log_t / shown) + log_t / shown)


def _largest(index: Floats, rng: np.random.Generator) -> Counts:
    """Return the arm with the largest index, (seeds, p, 1); equals are drawn among."""
    ties = index == index.max(axis=2, keepdims=True)
    return np.asarray((ties * rng.random(index.shape)).argmax(axis=2)[..., None])


def _one_hot(chosen: Counts, shape: tuple[int, ...]) -> Counts:
    hot = np.zeros(shape, np.int64)
    np.put_along_axis(hot, chosen, 1, axis=2)
    return hot


POLICIES: dict[str, Callable[[], Policy]] = {
    "ours": Thompson,
    "thompson_beta_1_1": lambda: Thompson(learned=False, careful=False, sharp=False),
    "epsilon_greedy_0.1": lambda: Shares(epsilon_greedy(lambda _t, _n: 0.1)),
    "epsilon_greedy_decaying": lambda: Shares(
        epsilon_greedy(lambda t, n: 100 * n / np.maximum(t, 1))
    ),
    "ucb1": lambda: Index(ucb1),
    "ucb1_tuned": lambda: Index(ucb1_tuned),
    "ucb_v": lambda: Index(ucb_v),
    "uniform": lambda: Shares(uniform),
}
"""By name, makers of a policy for one play."""
