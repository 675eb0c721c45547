"""How well clicks on what was shown are foreseen: order, likelihood, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.maths.auc_parts import auc_parts
from online_models.maths.classification import calibration_error, calibration_ratio, log_losses
from online_models.maths.intervals import Difference
from replay.evaluate.comparison import cautious_difference, finite
from replay.evaluate.impressions import Impressions
from replay.evaluate.request import PRODUCT

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; None is what cannot be said."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ClickScores:
    """What one contestant foresaw; all but `auc` and `auc_gap` is of probabilities alone.

    Attributes:
        contestant: its name.
        auc: the probability that an impression with a click scores above one without.
        auc_gap: what the product's AUC is above its own; None for the product.
        log_loss: mean negative log likelihood, in nats.
        calibration_error: expected, over bins of equal mass. It has no interval: the bins of a
            resample are noisier than those of the sample, so that all of it would lie too high.
        foreseen_over_true: foreseen clicks over true ones, 1 is right.
    """

    contestant: str
    auc: Estimate
    auc_gap: Estimate | None
    log_loss: Estimate | None
    calibration_error: float | None
    foreseen_over_true: Estimate | None


@dataclass(frozen=True, slots=True)
class ClickFigures:
    """What was foreseen of the clicks on impressions; becomes JSON as it is.

    Attributes:
        slates: that were judged.
        impressions: of them, those that everyone scored.
        not_offered: further ones, of items that did not exist yet.
        click_rate: clicked share of the impressions.
        scores: of the product, and then of the others.
    """

    slates: int
    impressions: int
    not_offered: int
    click_rate: float
    scores: list[ClickScores]

    @property
    def product(self) -> ClickScores:
        """The figures of the product."""
        return next(each for each in self.scores if each.contestant == PRODUCT)


def click_figures(found: Impressions, seed: int = 0) -> ClickFigures:
    """Return the figures of judged impressions.

    Args:
        found: with impressions of both kinds, clicked on and not.
        seed: of the resampling; all contestants draw alike.
    """
    scores = _Scores(found, seed)
    return ClickFigures(
        slates=found.slates,
        impressions=len(found.clicked),
        not_offered=found.not_offered,
        click_rate=float(found.clicked.mean()),
        scores=[scores.of(name) for name in found.scores],
    )


class _Scores:
    """Makes the figures of one contestant after the other."""

    def __init__(self, found: Impressions, seed: int) -> None:
        self._found = found
        self._seed = seed
        self._parts = {name: auc_parts(each, found.clicked) for name, each in found.scores.items()}

    def of(self, name: str) -> ClickScores:
        """Return the figures of a contestant."""
        parts, clicked = self._parts[name], self._found.clicked.astype(np.float64)
        none = np.zeros(len(clicked))
        auc = _absolute(self._difference(parts, none))
        gap = None
        if name != PRODUCT:
            gap = _absolute(self._difference(self._parts[PRODUCT], parts))
        if name not in self._found.probabilities:
            return ClickScores(name, auc, gap, None, None, None)
        probabilities = self._found.scores[name]
        surplus = self._difference(probabilities, clicked)
        return ClickScores(
            contestant=name,
            auc=auc,
            auc_gap=gap,
            log_loss=_absolute(self._difference(log_losses(probabilities, clicked), none)),
            calibration_error=calibration_error(probabilities, clicked),
            foreseen_over_true=Estimate(
                calibration_ratio(probabilities, clicked),
                finite(1 + surplus.relative_low),
                finite(1 + surplus.relative_high),
            ),
        )

    def _difference(self, mine: Floats, theirs: Floats) -> Difference:
        found = self._found
        return cautious_difference(mine, theirs, found.users, found.ts_ms, self._seed)


def _absolute(found: Difference) -> Estimate:
    return Estimate(found.absolute, finite(found.low), finite(found.high))
