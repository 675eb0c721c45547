"""Slates in the middle of a log, as the product would have ranked them, and what was clicked on.

What an exposure teaches is which of the product's own candidates was acted on next. This is the
other half: whether someone clicks on what is put before them, whoever chose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from online_models.features import FEATURES
from online_models.training.calibration import is_learnable


@dataclass(frozen=True, slots=True)
class Shown:
    """A slate as it would have been ranked, and what became of it.

    Attributes:
        closed_at: the first event that no click on it can follow: it may be learned from then on.
        features: (k, F) float16, as they are logged, of its items that were offered.
        clicked: (k,) bool.
    """

    closed_at: int
    features: NDArray[np.float16]
    clicked: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ShownRows:
    """The n items of several slates, one behind the other.

    Attributes:
        features: (n, F) float32.
        clicked: (n,) bool.
    """

    features: Tensor
    clicked: Tensor

    @classmethod
    def of(cls, slates: Sequence[Shown]) -> ShownRows:
        """Return the items of slates."""
        features = [np.empty((0, len(FEATURES)), np.float16), *(each.features for each in slates)]
        clicked = [np.empty(0, np.bool_), *(each.clicked for each in slates)]
        return cls(
            torch.from_numpy(np.concatenate(features).astype(np.float32)),
            torch.from_numpy(np.concatenate(clicked)),
        )

    def __len__(self) -> int:
        """Return n."""
        return len(self.clicked)

    @property
    def learnable(self) -> bool:
        """Whether enough of them were clicked on, and enough were not."""
        return is_learnable(self.clicked)


def closed_before(slates: Iterable[Shown], end: int) -> list[Shown]:
    """Return the slates whose outcome was known before an event."""
    return [each for each in slates if each.closed_at <= end]
