"""What of a slate is clicked is learned and measured within the slate."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from online_models.features import FEATURES
from online_models.tasks import TASKS
from online_models.training.labelled_rows import LabelledRows
from online_models.training.shown import Shown
from online_models.training.slate_loss import (
    MAX_SLATE,
    MixedSlates,
    aucs_within_slates,
)

pytestmark = pytest.mark.training


class First(torch.nn.Module):
    """The score is the first feature."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features[..., 0]


def slate(clicked: list[bool], scores: list[float] | None = None) -> Shown:
    features = np.zeros((len(clicked), len(FEATURES)), np.float16)
    features[:, 0] = scores if scores else 0
    return Shown(0, features, np.array(clicked)[:, None] & (np.arange(len(TASKS)) == 0))


def test_only_slates_of_both_kinds_teach_an_order() -> None:
    """Neither one that is clicked on whole nor one that nobody clicks on; none of none."""
    rows = LabelledRows.of_shown(
        [slate([True]), slate([False, True]), slate([False, False]), slate([True, False, True])]
    )
    mixed = MixedSlates.of(rows)
    assert mixed.shown.sum(dim=1).tolist() == [2, 3]
    assert mixed.places[0, :2].tolist() == [1, 2]
    assert mixed.clicked[1, :3].tolist() == [True, False, True]
    assert len(MixedSlates.of(LabelledRows.of_shown([]))) == 0


def test_the_loss_is_that_of_the_slow_twin() -> None:
    """Slate by slate, click by click; what lies behind the end of a slate has no share."""
    rng = np.random.default_rng(0)
    shown = []
    for _ in range(40):
        n = int(rng.integers(2, 9))
        clicked = np.zeros(n, bool)
        clicked[rng.choice(n, 1 + int(rng.integers(n - 1)), replace=False)] = True
        shown.append(slate(clicked.tolist(), rng.normal(size=n).round(2).tolist()))
    rows = LabelledRows.of_shown(shown)
    mixed = MixedSlates.of(rows)
    expected = []
    for each in shown:
        if 0 < each.clicked.sum() < len(each.clicked):
            shares = functional.log_softmax(torch.tensor(each.features[:, 0].astype("f4")), dim=0)
            expected += (-shares[torch.from_numpy(each.clicked)]).tolist()
    found = mixed.loss(First(), rows.features, torch.arange(len(mixed)))
    assert float(found) == pytest.approx(float(np.mean(expected)), rel=1e-4)


def test_a_long_slate_is_cut() -> None:
    """To its first items; where all clicks lie behind them it teaches nothing."""
    early, late = [False] * 60, [False] * 60
    early[3] = late[55] = True
    mixed = MixedSlates.of(LabelledRows.of_shown([slate(early), slate(late)]))
    assert mixed.shown.sum(dim=1).tolist() == [MAX_SLATE]


def test_the_order_within_slates_is_measured_within_slates() -> None:
    """A slate whose scores are all higher says nothing."""
    shown = [slate([True, False], [0.2, 0.1]), slate([False, True], [9.0, 8.0])]
    rows = LabelledRows.of_shown(shown)
    assert aucs_within_slates(rows.features[:, 0], rows).tolist() == [1, 0]
