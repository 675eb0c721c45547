"""Slates in the middle of a log, as the product would have ranked them, and what was clicked on.

What an exposure teaches is which of the product's own candidates was acted on next. This is the
other half: whether someone clicks on what is put before them, whoever chose it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shown:
    """A slate as it would have been ranked, and what became of it.

    Attributes:
        closed_at: the first event that no click on it can follow: it may be learned from then on.
        features: (k, F) float16, as they are logged, of its items that were offered.
        labels: (k, T) bool.
    """

    closed_at: int
    features: NDArray[np.float16]
    labels: NDArray[np.bool_]

    @property
    def clicked(self) -> NDArray[np.bool_]:
        """(k,) bool."""
        return self.labels[:, 0]


def closed_before(slates: Iterable[Shown], end: int) -> list[Shown]:
    """Return the slates whose outcome was known before an event."""
    return [each for each in slates if each.closed_at <= end]
