"""What of a slate is clicked: the slates that teach it, and the softmax within each of them.

Law: nothing is compared across slates. What all items of a slate share, such as who the user is and
at which hour they came, moves all of its scores alike and cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from online_models.maths.slate_auc import slate_aucs
from online_models.training.calibration import LEAST_LABELS
from online_models.training.labelled_rows import LabelledRows

MAX_SLATE: Final = 50
"""Items of a slate that are compared; of a longer one the first."""


@dataclass(frozen=True, slots=True)
class MixedSlates:
    """The m slates of which something was clicked on and something was not.

    Attributes:
        places: (m, MAX_SLATE) rows of their items, 0 behind the end.
        shown: (m, MAX_SLATE) bool, where there is an item.
        clicked: (m, MAX_SLATE) bool.
    """

    places: Tensor
    shown: Tensor
    clicked: Tensor

    @classmethod
    def of(cls, rows: LabelledRows) -> MixedSlates:
        """Return those of some rows."""
        slates, clicked = rows.slates.numpy(), rows.clicked.numpy()
        _, starts, lengths = np.unique(slates, return_index=True, return_counts=True)
        places = starts[:, None] + np.arange(MAX_SLATE)
        shown = np.arange(MAX_SLATE) < lengths[:, None]
        places = np.where(shown, places, 0)
        hit = shown & clicked[places] if len(clicked) else shown
        mixed = hit.any(axis=1) & (shown & ~hit).any(axis=1)
        columns = (each[mixed] for each in (places, shown, hit))
        return cls(*(torch.from_numpy(each) for each in columns))

    def __len__(self) -> int:
        """Return m."""
        return len(self.places)

    @property
    def enough(self) -> bool:
        """Whether they are enough to learn from, or to say what was learned."""
        return len(self) >= LEAST_LABELS

    @property
    def items(self) -> Tensor:
        """(n,) rows of all their items."""
        return self.places[self.shown]

    def loss(self, scorer: nn.Module, features: Tensor, some: Tensor) -> Tensor:
        """Return the mean negative log likelihood of the clicks, each within its slate.

        Listwise softmax (Cao et al. 2007, "Learning to rank: from pairwise approach to listwise
        approach", ListNet with the top one).

        Args:
            scorer: (..., F) features to (...,) scores.
            features: (n, F) of the rows.
            some: (b,) numbers of slates.
        """
        longest = int(self.shown[some].sum(dim=1).max())
        places, shown, clicked = (
            each[some, :longest] for each in (self.places, self.shown, self.clicked)
        )
        scores = scorer(features[places])  # (b, longest)
        log_shares = scores.masked_fill(~shown, -1e9).log_softmax(dim=1)
        return -(log_shares[clicked]).mean()


def aucs_within_slates(scores: Tensor, rows: LabelledRows) -> NDArray[np.float64]:
    """Return the (m,) AUC of clicks within each mixed slate.

    Args:
        scores: (n,) of the rows.
        rows: in slates.
    """
    return slate_aucs(scores.numpy(), rows.clicked.numpy(), rows.slates.numpy())
