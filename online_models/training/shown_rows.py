"""What was shown, in rows: as the ranker learns it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from online_models.features import FEATURES
from online_models.training.calibration import is_learnable
from online_models.training.shown import Shown


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
