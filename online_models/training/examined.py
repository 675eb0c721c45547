"""What an example teaches: the slots that somebody looked at, and what became of them.

What is below the last slot that was shown or clicked is no negative: nobody may have seen it
(Craswell et al. 2008, "An experimental comparison of click position-bias models").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.examples import Example
from freshet.core.events.schema import EVENT_TYPES, REJECTION
from online_models.features import FEATURE_SCHEMA, FEATURES
from online_models.tasks import CONVERSION, DWELL_S, TASKS

MOST_POSITIONS: Final = 100
"""Positions that are told apart; those below share the last."""

_CONVERSIONS: Final = [name for name, so in zip(EVENT_TYPES, CONVERSION, strict=True) if so]
_REJECTIONS: Final = [name for name, so in zip(EVENT_TYPES, REJECTION, strict=True) if so]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Examined:
    """The n examined slots of an answer.

    Attributes:
        ts_ms: when it was given.
        features: (n, F) float16, as they were logged.
        positions: (n,) in [0, MOST_POSITIONS).
        labels: (n, T) bool; what follows a click is false where there was none. A rejection is no
            click, and needs none.
    """

    ts_ms: int
    features: NDArray[np.float16]
    positions: NDArray[np.int64]
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Rows:
    """The slots of several answers, one behind the other.

    Attributes:
        features: (n, F) float32.
        positions: (n,).
        labels: (n, T) bool.
    """

    features: Floats
    positions: NDArray[np.int64]
    labels: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def clicked(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return self.labels[:, 0]

    @classmethod
    def of(cls, answers: Sequence[Examined]) -> Rows:
        """Return the slots of some answers."""
        return cls(
            np.concatenate(
                [np.empty((0, len(FEATURES)), np.float32), *(each.features for each in answers)]
            ).astype(np.float32),
            np.concatenate([np.empty(0, np.int64), *(each.positions for each in answers)]),
            np.concatenate(
                [np.empty((0, len(TASKS)), np.bool_), *(each.labels for each in answers)]
            ),
        )


def examined_slots(example: Example) -> Examined | None:
    """Return the examined slots of an example, None where it teaches nothing.

    That is: it was made under another feature schema or without features, its columns do not fit
    together, a feature is not finite, or nobody looked at it.
    """
    if example.feature_schema != FEATURE_SCHEMA or not example.features:
        return None
    try:
        seen = example.examined()
        features = example.column("features")
        labels = _labels(example)
        positions = example.column("positions")
    except ValueError:
        return None
    if features.shape != (len(seen), len(FEATURES)) or not seen.any():
        return None
    features = features[seen]
    if not np.isfinite(features).all():
        return None
    places = np.minimum(positions[seen].astype(np.int64), MOST_POSITIONS - 1)
    return Examined(example.ts_ms, features, places, labels[seen])


def _labels(example: Example) -> NDArray[np.bool_]:
    """Return (n, T) bool.

    Raises:
        ValueError: a column is not of n rows.
    """
    clicked = example.had("click")
    dwelt = example.column("dwell_s") >= DWELL_S
    converted = np.any([example.had(each) for each in _CONVERSIONS], axis=0)
    rejected = np.any([example.had(each) for each in _REJECTIONS], axis=0)
    return np.column_stack([clicked, clicked & dwelt, clicked & converted, rejected])
