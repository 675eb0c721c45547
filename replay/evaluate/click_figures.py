"""How well clicks on what was shown are predicted: order within slates, likelihood, calibration.

Law: what decides is the AUC by slate. The pooled one also rewards knowing who clicks much and
when, which orders no list; it is given, and never quoted alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.maths.auc_parts import auc_parts
from online_models.maths.classification import calibration_error, calibration_ratio, log_losses
from online_models.maths.intervals import Difference
from online_models.maths.slate_auc import mixed_slates, slate_aucs
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
    """What one contestant predicted; log loss and what follows is of probabilities alone.

    Attributes:
        contestant: its name.
        auc: the probability that an impression with a click scores above one without, of whatever
            slate.
        auc_gap: what the product's AUC is above its own; None for the product.
        slate_auc: the same within a slate, the mean over slates that hold both kinds; None without
            such slates.
        slate_auc_gap: what the product's is above its own; None for the product.
        log_loss: mean negative log likelihood, in nats.
        log_loss_gap: what the product's is above its own, so that less is better; None for the
            product and where it gives no probabilities.
        calibration_error: expected, over bins of equal mass. It has no interval: the bins of a
            resample are noisier than those of the sample, so that all of it would lie too high.
        foreseen_over_true: predicted clicks over true ones, 1 is right.
    """

    contestant: str
    auc: Estimate
    auc_gap: Estimate | None
    slate_auc: Estimate | None
    slate_auc_gap: Estimate | None
    log_loss: Estimate | None
    log_loss_gap: Estimate | None
    calibration_error: float | None
    foreseen_over_true: Estimate | None


@dataclass(frozen=True, slots=True)
class ClickFigures:
    """What was predicted of the clicks on impressions; becomes JSON as it is.

    Attributes:
        slates: that were judged.
        mixed_slates: of them, those that hold an item with a click and one without.
        impressions: of them, those that everyone scored.
        not_offered: further ones, of items that did not exist yet.
        click_rate: clicked share of the impressions.
        scores: of the product, and then of the others.
    """

    slates: int
    mixed_slates: int
    impressions: int
    not_offered: int
    click_rate: float
    scores: list[ClickScores]

    @property
    def product(self) -> ClickScores:
        """The figures of the product."""
        return next(each for each in self.scores if each.contestant == PRODUCT)

    @property
    def best_baseline(self) -> ClickScores | None:
        """The baseline with the biggest AUC by slate, or pooled where there are no mixed slates."""
        others = [each for each in self.scores if each.contestant != PRODUCT]
        return max(others, key=lambda each: (each.slate_auc or each.auc).value, default=None)


def click_figures(found: Impressions, seed: int = 0) -> ClickFigures:
    """Return the figures of judged impressions.

    Args:
        found: with impressions of both kinds, clicked on and not.
        seed: of the resampling; all contestants draw alike.
    """
    scores = _Scores(found, seed)
    return ClickFigures(
        slates=found.slates,
        mixed_slates=scores.mixed,
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
        self._clicked = found.clicked.astype(np.float64)
        self._parts = {name: auc_parts(each, found.clicked) for name, each in found.scores.items()}
        self._by_slate = {
            name: slate_aucs(each, found.clicked, found.slate)
            for name, each in found.scores.items()
        }
        self._losses = {
            name: log_losses(found.scores[name], self._clicked) for name in found.probabilities
        }
        mixed = mixed_slates(found.slate, found.clicked)
        first = np.searchsorted(found.slate, mixed)
        self._slate_users, self._slate_ts_ms = found.users[first], found.ts_ms[first]
        self.mixed = len(mixed)

    def of(self, name: str) -> ClickScores:
        """Return the figures of a contestant."""
        losses = self._losses.get(name)
        return ClickScores(
            contestant=name,
            auc=self._mean(self._parts[name]),
            auc_gap=self._gap(name, self._parts),
            slate_auc=self._slate_mean(self._by_slate[name]),
            slate_auc_gap=self._slate_gap(name),
            log_loss=None if losses is None else self._mean(losses),
            log_loss_gap=self._gap(name, self._losses),
            calibration_error=None if losses is None else self._calibration_error(name),
            foreseen_over_true=None if losses is None else self._ratio(name),
        )

    def _gap(self, name: str, values: dict[str, Floats]) -> Estimate | None:
        if name == PRODUCT or not {name, PRODUCT} <= values.keys():
            return None
        return _absolute(self._difference(values[PRODUCT], values[name]))

    def _slate_gap(self, name: str) -> Estimate | None:
        if name == PRODUCT or not self.mixed:
            return None
        mine, theirs = self._by_slate[PRODUCT], self._by_slate[name]
        return _absolute(self._slate_difference(mine, theirs))

    def _slate_mean(self, values: Floats) -> Estimate | None:
        if not self.mixed:
            return None
        return _absolute(self._slate_difference(values, np.zeros(self.mixed)))

    def _mean(self, values: Floats) -> Estimate:
        return _absolute(self._difference(values, np.zeros(len(values))))

    def _calibration_error(self, name: str) -> float:
        return calibration_error(self._found.scores[name], self._clicked)

    def _ratio(self, name: str) -> Estimate:
        probabilities = self._found.scores[name]
        surplus = self._difference(probabilities, self._clicked)
        return Estimate(
            calibration_ratio(probabilities, self._clicked),
            finite(1 + surplus.relative_low),
            finite(1 + surplus.relative_high),
        )

    def _difference(self, mine: Floats, theirs: Floats) -> Difference:
        found = self._found
        return cautious_difference(mine, theirs, found.users, found.ts_ms, self._seed)

    def _slate_difference(self, mine: Floats, theirs: Floats) -> Difference:
        users, ts_ms = self._slate_users, self._slate_ts_ms
        return cautious_difference(mine, theirs, users, ts_ms, self._seed)


def _absolute(found: Difference) -> Estimate:
    return Estimate(found.absolute, finite(found.low), finite(found.high))
