"""Rows to learn the tasks from: of slates where a log has them, else of exposures.

Law: all figures of a task are of one population. What was shown is one: a click is then a click on
what was shown. The candidates of exposures are the other: a click is then what comes next. A rate
of the one says nothing of the other, so whoever learns, calibrates or measures takes all of it from
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from online_models.features import FEATURES
from online_models.tasks import NEGATIVE, TASKS, counted
from online_models.training.calibration import Calibration, base_rates, is_learnable
from online_models.training.exposures import Exposure
from online_models.training.shown import Shown

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """n rows and what became of them.

    Attributes:
        features: (n, F) float32.
        labels: (n, T) bool.
        rows: (n, T) bool, where each task counts.
        slates: (n,) int64, ascending: rows of one slate, or one exposure, have one number.
    """

    features: Tensor
    labels: Tensor
    rows: Tensor
    slates: Tensor

    @classmethod
    def of_shown(cls, slates: Sequence[Shown]) -> LabelledRows:
        """Return the items of slates."""
        features, labels = [each.features for each in slates], [each.labels for each in slates]
        return cls._joined(features, labels, [counted(each) for each in labels])

    @classmethod
    def of_candidates(
        cls, exposures: Sequence[Exposure], rejected: Sequence[Exposure] = ()
    ) -> LabelledRows:
        """Return all candidates of exposures, also where none of them is the target.

        Args:
            exposures: before what was acted on.
            rejected: before rejections; their targets alone, which say nothing of clicks.
        """
        labels = [_labels(each) for each in exposures]
        known = [counted(each) for each in labels]
        found = [each for each in rejected if each.target >= 0]
        features = [each.features for each in exposures]
        features += [each.features[each.target][None] for each in found]
        labels += [_OF_REJECTION] * len(found)
        known += [_OF_REJECTION] * len(found)
        return cls._joined(features, labels, known)

    @classmethod
    def of_targets(
        cls, exposures: Sequence[Exposure], rejected: Sequence[Exposure] = ()
    ) -> LabelledRows:
        """Return the targets of exposures, of which everything counts but the click.

        Args:
            exposures: before what was acted on.
            rejected: before rejections.
        """
        found = [each for each in exposures if each.target >= 0]
        targets = [
            Exposure(
                each.event,
                0,
                each.features[each.target][None],
                each.ranks[each.target][None],
                each.followed_at,
            )
            for each in found
        ]
        return cls.of_candidates(targets, rejected)

    @classmethod
    def _joined(
        cls,
        features: Sequence[NDArray[np.floating]],
        labels: Sequence[NDArray[np.bool_]],
        rows: Sequence[NDArray[np.bool_]],
    ) -> LabelledRows:
        nothing, empty = np.empty((0, len(FEATURES)), np.float32), np.empty((0, len(TASKS)), bool)
        lengths = [len(each) for each in features]
        return cls(
            torch.from_numpy(np.concatenate([nothing, *features], dtype=np.float32)),
            torch.from_numpy(np.concatenate([empty, *labels])),
            torch.from_numpy(np.concatenate([empty, *rows])),
            torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)),
        )

    def __len__(self) -> int:
        """Return n."""
        return len(self.labels)

    @property
    def clicked(self) -> Tensor:
        """(n,) bool."""
        return self.labels[:, 0]

    @property
    def learnable(self) -> list[bool]:
        """(T,) whether enough of each task happened, and enough did not."""
        columns = zip(self.labels.T, self.rows.T, strict=True)
        return [is_learnable(labels[rows]) for labels, rows in columns]

    def base_rates(self) -> Calibration:
        """Return lines that say what is usual, whatever the score."""
        return base_rates(self.labels, self.rows)

    def of_task(self, task: int) -> tuple[Tensor, Tensor]:
        """Return the features and labels, (m, F) and (m,), on which a task counts."""
        rows = self.rows[:, task]
        return self.features[rows], self.labels[rows, task]


@dataclass(frozen=True, slots=True)
class Population:
    """What tasks are learned from, and what calibrates them.

    Attributes:
        on_shown: whether these are the items of slates.
        early: to learn from.
        late: of later, to calibrate by.
        learnable: (T,) which tasks have enough of both kinds in both.
        usual: base rates of the early ones.
    """

    on_shown: bool
    early: LabelledRows
    late: LabelledRows
    learnable: list[bool]
    usual: Calibration

    @classmethod
    def of(
        cls,
        exposures: Sequence[Exposure],
        validation: Sequence[Exposure],
        shown: Sequence[Shown] = (),
        shown_later: Sequence[Shown] = (),
        rejected: Sequence[Exposure] = (),
        rejected_later: Sequence[Exposure] = (),
    ) -> Population:
        """Return slates where enough was clicked on in both parts, else exposures."""
        early, late = LabelledRows.of_shown(shown), LabelledRows.of_shown(shown_later)
        on_shown = early.learnable[0] and late.learnable[0]
        if not on_shown:
            early = LabelledRows.of_targets(exposures, rejected)
            late = LabelledRows.of_candidates(validation, rejected_later)
        both = zip(early.learnable, late.learnable, strict=True)
        learnable = [one and other for one, other in both]
        return cls(on_shown, early, late, learnable, early.base_rates())


_OF_REJECTION = (np.arange(len(TASKS)) == NEGATIVE)[None]


def _labels(exposure: Exposure) -> NDArray[np.bool_]:
    """Return (n, T) bool: those of the target, and nothing became of the other candidates."""
    labels = np.zeros((len(exposure.features), len(TASKS)), np.bool_)
    if exposure.target >= 0:
        labels[exposure.target] = exposure.labels
    return labels
