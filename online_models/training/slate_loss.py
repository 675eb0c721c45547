"""What of a slate is clicked on: a softmax within each slate, and the gate that asks for it.

What comes next of hundreds of candidates and what of one slate is clicked on are two questions, and
a score that was learned from the first need not order a slate well. Within a slate nothing counts
that all its items share: neither who the user is nor at which hour they came.
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

_SIGMAS: Final = 1.0  # by which slates must be ordered better, beyond noise
_MAX_LOSS: Final = 0.02  # nats by which what comes next may be predicted worse for it


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
    def learnable(self) -> bool:
        """Whether they are enough to learn from."""
        return len(self) >= LEAST_LABELS

    def loss(self, ranker: nn.Module, features: Tensor, some: Tensor) -> Tensor:
        """Return the mean negative log likelihood of the clicks, each within its slate.

        Args:
            ranker: gives the scores of features.
            features: (n, F) of the rows.
            some: (b,) numbers of slates.
        """
        scores = ranker(features[self.places[some]])[..., 0]  # (b, MAX_SLATE)
        log_shares = scores.masked_fill(~self.shown[some], -1e9).log_softmax(dim=1)
        clicked = self.clicked[some]
        return -(log_shares[clicked]).mean()


@torch.no_grad()
def auc_within_slates(ranker: nn.Module, rows: LabelledRows) -> NDArray[np.float64]:
    """Return the (m,) AUC of clicks within each mixed slate."""
    ranker.eval()
    scores = ranker(rows.features)[:, 0].numpy()
    return slate_aucs(scores, rows.clicked.numpy(), rows.slates.numpy())


def worth_it(
    before: NDArray[np.float64], after: NDArray[np.float64], *, loss_before: float, loss: float
) -> bool:
    """Return whether slates are ordered better, and what comes next is predicted no worse.

    Args:
        before: (m,) AUC within slates, without learning from slates.
        after: (m,) with it.
        loss_before: of what comes next, in nats, without.
        loss: with.

    >>> low, high = np.full(50, 0.5), np.tile([0.6, 0.7], 25)
    >>> worth_it(low, high, loss_before=3.0, loss=3.01)
    True
    >>> worth_it(low, high, loss_before=3.0, loss=3.1), worth_it(high, low, loss_before=3, loss=3)
    (False, False)
    """
    if len(before) < LEAST_LABELS:
        return False
    gains = after - before
    noise = float(gains.std(ddof=1)) / len(gains) ** 0.5
    return float(gains.mean()) > _SIGMAS * noise and loss <= loss_before + _MAX_LOSS
