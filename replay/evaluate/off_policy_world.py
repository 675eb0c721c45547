"""A world whose policies have known values: what the estimators are proved on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replay.evaluate.off_policy import LoggedSlots

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """People of a few kinds, items, and two policies.

    Attributes:
        kinds: (contexts,) share of each kind.
        rates: (contexts, items) true click rates.
        logging, target: (contexts, items) probability of each item for each kind.
    """

    kinds: Floats
    rates: Floats
    logging: Floats
    target: Floats

    @property
    def truth(self) -> float:
        """Return the click rate of the judged policy."""
        return float(self.kinds @ (self.target * self.rates).sum(axis=1))

    def log(self, n: int, rng: np.random.Generator) -> LoggedSlots:
        """Return n independent slots of the logging policy."""
        contexts = rng.choice(len(self.kinds), n, p=self.kinds)
        ends = self.logging.cumsum(axis=1)[contexts]  # (n, items)
        items = np.minimum((ends < rng.random(n)[:, None]).sum(axis=1), ends.shape[1] - 1)
        clicks = (rng.random(n) < self.rates[contexts, items]).astype(np.float64)
        return LoggedSlots(
            contexts, items, self.logging[contexts, items], clicks, np.arange(n, dtype=np.int64)
        )


def make_world(
    rng: np.random.Generator, sharpness: float, contexts: int = 6, items: int = 12
) -> World:
    """Return a world with click rates near 5 %, other ones for each kind of people.

    Args:
        rng: the generator.
        sharpness: of the judged policy: 0 is uniform, at 5 it shows little but its favourites.
        contexts: kinds of people.
        items: on offer.
    """
    taste = rng.normal(0, 0.5, (1, items)) + rng.normal(0, 0.4, (contexts, items))
    rates = 1 / (1 + np.exp(3 - taste))
    guess = taste + rng.normal(0, 0.4, taste.shape)  # a policy that knows something
    return World(
        kinds=rng.dirichlet(np.full(contexts, 5.0)),
        rates=rates,
        logging=_softmax(rng.normal(0, 0.7, taste.shape)),
        target=_softmax(sharpness * guess),
    )


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
