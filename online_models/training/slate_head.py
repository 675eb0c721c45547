"""The slate head: a small network of its own that says what of one slate is clicked.

What comes next of hundreds of candidates and what of one slate is clicked are two questions, and a
score that was learned from the first need not order a slate well. So the head shares nothing with
the ranker but the features. It learns by the softmax within slates, see `slate_loss`; later slates
choose its epoch; and it is kept only where it orders still later ones better than the click does,
by more than noise. Else the click answers both questions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from online_models.features import FEATURES
from online_models.training.averaging import averaged
from online_models.training.budget import RANKER_ROW_S, Budget
from online_models.training.calibration import LEAST_LABELS
from online_models.training.labelled_rows import LabelledRows
from online_models.training.shown import Shown
from online_models.training.slate_loss import MixedSlates, aucs_within_slates

WIDTHS: Final = (32, 16)
INPUT_LIMIT: Final = 5.0
"""Deviations from the mean beyond which a feature counts no more."""

EPOCHS: Final = 40
_BATCH: Final = 16  # slates
_LEARNING_RATE: Final = 2e-3
_WEIGHT_DECAY: Final = 1e-2
_PATIENCE: Final = 6  # epochs without progress before training ends
_SIGMAS: Final = 1.64  # of the mean gain, a chance of 5 % where there is none

Report = Callable[[float], None]


class SlateHead(nn.Module):
    """Scores the items of a slate; one that learned nothing scores all of them alike."""

    def __init__(self, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> None:
        """Keep the scale of the features.

        Args:
            mean: (F,) over the training rows.
            deviation: (F,); a feature that never varied there is switched off, because nothing
                was learned of it.
        """
        super().__init__()
        varied = deviation > 1e-4
        scale = np.where(varied, 1 / np.where(varied, deviation, 1), 0)
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        first, second = WIDTHS
        self.layers = nn.Sequential(
            nn.Linear(len(FEATURES), first),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, 1),
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return (...,) scores of (..., F) features, log-odds but for a constant of the slate."""
        x = ((features - self.mean) * self.scale).clamp(-INPUT_LIMIT, INPUT_LIMIT)
        scores: Tensor = self.layers(x)[..., 0]
        return scores


class RankerColumns(nn.Module):
    """A ranker and a slate head, answering as their common graph does.

    Args:
        ranker: (n, F) features to (n, T) probabilities.
        head: None where the click orders slates.
    """

    def __init__(self, ranker: nn.Module, head: SlateHead | None) -> None:
        super().__init__()
        self.ranker = ranker
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        """Return (n, C) of (n, F) features, in the order of `COLUMNS`."""
        tasks = self.ranker(features)  # (n, T)
        slate = tasks[:, :1] if self.head is None else torch.sigmoid(self.head(features))[:, None]
        return torch.cat([tasks, slate], dim=1)


@dataclass(frozen=True, slots=True)
class HeadChoice:
    """What orders the items of a slate, and why.

    Attributes:
        head: None where it is the click.
        epochs: how often the head saw what it learned from.
        metrics: what the manifest says of it.
    """

    head: SlateHead | None = None
    epochs: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)

    def again(
        self, shown: Sequence[Shown], *, budget: Budget, rng: np.random.Generator
    ) -> SlateHead | None:
        """Return a head that learned from nothing as long as the kept one, from other slates.

        What chose it are the newest slates, which say most of a log that drifts: here they are
        learned from too. Where the budget does not suffice, the kept one stays.

        Args:
            shown: slates, all, in the order of time.
            budget: of rows.
            rng: draws the order, the first weights and what is dropped.
        """
        if self.head is None:
            return None
        with _draws_of(rng):
            fitting = _Fitting(LabelledRows.of_shown(shown), rng)
            for _ in range(self.epochs):
                if budget.over():
                    return self.head
                fitting.learn(budget)
        again: SlateHead = fitting.average.eval()
        return again


def choose_head(
    ranker: nn.Module,
    shown: Sequence[Shown],
    later: Sequence[Shown],
    *,
    budget: Budget,
    rng: np.random.Generator,
    report: Report = lambda _: None,
) -> HeadChoice:
    """Return the head that orders slates, or none where the click of a ranker does as well.

    Args:
        ranker: (n, F) features to (n, T) probabilities; it did not learn from `later`.
        shown: slates to learn from.
        later: the older half chooses the epoch, the newer one between the head and the click.
        budget: of rows.
        rng: draws the order, the first weights and what is dropped.
        report: called with the share that is done.
    """
    half = len(later) // 2
    early, choosing, held_out = map(LabelledRows.of_shown, (shown, later[:half], later[half:]))
    counts = [len(MixedSlates.of(each)) for each in (early, choosing, held_out)]
    if min(counts) < LEAST_LABELS:
        report(1.0)
        return HeadChoice(metrics={"kept": False, "slates": counts[-1]})
    with _draws_of(rng):
        head, epochs = _fit(_Fitting(early, rng), choosing, budget, report)
    report(1.0)
    click, slate = (
        aucs_within_slates(each, held_out) for each in _columns(ranker, head, held_out.features)
    )
    kept = surely_better(slate, click)
    metrics = {
        "kept": kept,
        "epochs": epochs,
        "slates": counts[-1],
        "auc_of_click": round(float(click.mean()), 4),
        "auc_of_head": round(float(slate.mean()), 4),
    }
    return HeadChoice(head, epochs, metrics) if kept else HeadChoice(metrics=metrics)


def surely_better(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> bool:
    """Return whether the mean of paired figures is higher by more than noise.

    Args:
        mine: (m,) AUC within slates.
        theirs: (m,) of the same slates.

    >>> low, high = np.full(50, 0.5), np.tile([0.6, 0.7], 25)
    >>> surely_better(high, low), surely_better(low, high), surely_better(low, low)
    (True, False, False)
    """
    if len(mine) < LEAST_LABELS:
        return False
    gains = mine - theirs
    noise = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return float(gains.mean()) > _SIGMAS * noise


@torch.no_grad()
def _columns(ranker: nn.Module, head: SlateHead, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n,) of the click and (n,) of the head."""
    return ranker.eval()(features)[:, 0], head.eval()(features)


@contextmanager
def _draws_of(rng: np.random.Generator) -> Iterator[None]:
    """Let torch draw by a generator for a while; what others draw afterwards is as without it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        yield


def _fit(
    fitting: _Fitting, choosing: LabelledRows, budget: Budget, report: Report
) -> tuple[SlateHead, int]:
    """Return the head after the epoch that predicts later slates best, and the epoch."""
    later = MixedSlates.of(choosing)
    best, reached, best_epoch = fitting.copied(), float("inf"), 0
    for epoch in range(EPOCHS + 1):
        if epoch:
            fitting.learn(budget)
        loss = _held_out_loss(fitting.average, later, choosing)
        budget.spend(later.places.numel() * RANKER_ROW_S / 2)
        if loss < reached:
            best, reached, best_epoch = fitting.copied(), loss, epoch
        report(epoch / EPOCHS)
        if budget.over() or epoch - best_epoch >= _PATIENCE:
            break
    return best.eval(), best_epoch


@torch.no_grad()
def _held_out_loss(head: SlateHead, slates: MixedSlates, rows: LabelledRows) -> float:
    return float(slates.loss(head.eval(), rows.features, torch.arange(len(slates))))


class _Fitting:
    """A head and the slates that it learns from, epoch by epoch."""

    def __init__(self, rows: LabelledRows, rng: np.random.Generator) -> None:
        self._rows, self._slates, self._rng = rows, MixedSlates.of(rows), rng
        scale = rows.features[self._slates.items].numpy()
        self._head = SlateHead(scale.mean(axis=0), scale.std(axis=0))
        self._averaged = averaged(self._head)
        self._optimiser = torch.optim.AdamW(
            self._head.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
        )

    @property
    def average(self) -> SlateHead:
        """The head as it was on average; learning on changes it."""
        average: SlateHead = self._averaged.module
        return average

    def copied(self) -> SlateHead:
        """Return a copy of the average."""
        return copy.deepcopy(self.average)

    def learn(self, budget: Budget) -> None:
        """Learn every slate once, and count it."""
        self._head.train()
        order = torch.from_numpy(self._rng.permutation(len(self._slates)))
        for some in order.split(_BATCH):
            loss = self._slates.loss(self._head, self._rows.features, some)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._averaged.update_parameters(self._head)
            budget.spend(self._slates.places[some].numel() * RANKER_ROW_S)
