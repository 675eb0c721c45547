"""Requests in the middle of a log, as the product would have ranked them, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.artifacts.bundle import Bundle

LISTED = 150
"""Candidates of an exposure that a ranker learns from: the right one and others at random."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One request, as it was ranked, and what the user then did.

    Attributes:
        event: the event that followed.
        target: index of its item among the candidates, -1 when no source had found it.
        features: (n, F) float16, as they are logged.
        ranks: (n, n_sources) rank within each source, -1 = not found by it.
    """

    event: int
    target: int
    features: NDArray[np.float16]
    ranks: NDArray[np.int16]

    def thinned(self, rng: np.random.Generator) -> Exposure:
        """Return it with at most `LISTED` of its candidates, the right one first."""
        n = len(self.features)
        if self.target < 0 or n <= LISTED:
            return self
        others = rng.choice(n - 1, LISTED - 1, replace=False)
        kept = np.r_[self.target, others + (others >= self.target)]
        return replace(self, target=0, features=self.features[kept], ranks=self.ranks[kept])


class Life(Protocol):
    """A log that is lived through the folds and the funnel of the product."""

    def use(self, bundle: Bundle) -> None:
        """Use a bundle from now on."""
        ...

    def expose(self, event: int) -> Exposure:
        """Live on to where an event was asked for, and return how its request is ranked.

        Args:
            event: none was asked for before that of an earlier call.
        """
        ...

    def close(self) -> None:
        """End the life."""
        ...
