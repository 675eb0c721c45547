"""Exposures as rows that trees are grown from, list behind list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from online_models.tasks import TASKS
from online_models.training.exposures import Exposure

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with a label.

    Attributes:
        features: (n, F).
        labels: (n,) bool.
        lengths: rows of each list, None where a row stands alone.
        start: score that the first tree adds to.
    """

    features: Floats
    labels: NDArray[np.bool_]
    lengths: NDArray[np.int64] | None = None
    start: float = 0.0

    def columns(self) -> dict[str, Any]:
        """Return them under the names that LightGBM gives them."""
        return {
            "data": self.features,
            "label": self.labels,
            "group": self.lengths,
            "init_score": np.full(len(self.labels), self.start),
        }


@dataclass(frozen=True, slots=True)
class Lists:
    """The candidates of exposures whose target was found, one exposure behind the other.

    Attributes:
        features: (n, F).
        lengths: (m,) candidates of each exposure.
        right: (m,) row of each target.
        came: (m, T) bool, the labels of each target.
    """

    features: Floats
    lengths: NDArray[np.int64]
    right: NDArray[np.int64]
    came: Tensor

    @classmethod
    def of(cls, exposures: Sequence[Exposure], rng: np.random.Generator) -> Lists | None:
        """Return those that have something to tell apart; None where there are none.

        The candidates are shuffled: trees score many of them the same, and where the target stands
        first, as in a thinned exposure, each tie would look like a hit.
        """
        found = [each for each in exposures if each.target >= 0 and len(each.features) > 1]
        if not found:
            return None
        orders = [rng.permutation(len(each.features)) for each in found]
        pairs = list(zip(found, orders, strict=True))
        lengths = np.array([len(order) for order in orders])
        places = [int(np.flatnonzero(order == each.target)[0]) for each, order in pairs]
        return cls(
            np.concatenate([each.features[order] for each, order in pairs], dtype=np.float32),
            lengths,
            lengths.cumsum() - lengths + places,
            torch.tensor([each.labels for each in found]),
        )

    def labels(self) -> Tensor:
        """Return (n, T) bool: those of the targets, and nothing came of the others."""
        labels = torch.zeros(len(self.features), len(TASKS), dtype=torch.bool)
        labels[torch.from_numpy(self.right)] = self.came
        return labels

    def clicks(self) -> Rows:
        """Return all rows, the targets clicked."""
        return Rows(self.features, self.labels()[:, 0].numpy(), self.lengths)

    def following(self, task: int, start: float) -> Rows:
        """Return the targets alone, and whether a task followed the click.

        Args:
            task: column of `TASKS`.
            start: score that the first tree adds to.
        """
        return Rows(self.features[self.right], self.came[:, task].numpy(), start=start)
