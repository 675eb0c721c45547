"""Exposures as rows that trees are grown from, list behind list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.training.exposures import Exposure
from online_models.training.labelled_rows import LabelledRows

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
    """

    features: Floats
    lengths: NDArray[np.int64]
    right: NDArray[np.int64]

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
        )

    def clicks(self) -> Rows:
        """Return all rows, the targets clicked."""
        clicked = np.zeros(len(self.features), np.bool_)
        clicked[self.right] = True
        return Rows(self.features, clicked, self.lengths)


def rows_of_task(rows: LabelledRows, task: int, start: float) -> Rows:
    """Return the rows on which a task counts.

    Args:
        rows: of a population.
        task: column of `TASKS`.
        start: score that the first tree adds to.
    """
    features, labels = rows.of_task(task)
    return Rows(features.numpy(), labels.numpy(), start=start)
