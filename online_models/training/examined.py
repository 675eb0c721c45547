"""What an example teaches: the slots that somebody looked at, and which of them were clicked.

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
from online_models.features import FEATURE_SCHEMA, FEATURES

MOST_POSITIONS: Final = 100
"""Positions that are told apart; those below share the last."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Examined:
    """The n examined slots of an answer.

    Attributes:
        ts_ms: when it was given.
        features: (n, F) float16, as they were logged.
        positions: (n,) in [0, MOST_POSITIONS).
        clicked: (n,) bool.
    """

    ts_ms: int
    features: NDArray[np.float16]
    positions: NDArray[np.int64]
    clicked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.clicked)


@dataclass(frozen=True, slots=True)
class Rows:
    """The slots of several answers, one behind the other.

    Attributes:
        features: (n, F) float32.
        positions: (n,).
        clicked: (n,) bool.
    """

    features: Floats
    positions: NDArray[np.int64]
    clicked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.clicked)

    @classmethod
    def of(cls, answers: Sequence[Examined]) -> Rows:
        """Return the slots of some answers."""
        return cls(
            np.concatenate(
                [np.empty((0, len(FEATURES)), np.float32), *(each.features for each in answers)]
            ).astype(np.float32),
            np.concatenate([np.empty(0, np.int64), *(each.positions for each in answers)]),
            np.concatenate([np.empty(0, np.bool_), *(each.clicked for each in answers)]),
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
        clicked = example.had("click")
        positions = example.column("positions")
    except ValueError:
        return None
    if features.shape != (len(seen), len(FEATURES)) or not seen.any():
        return None
    features = features[seen]
    if not np.isfinite(features).all():
        return None
    places = np.minimum(positions[seen].astype(np.int64), MOST_POSITIONS - 1)
    return Examined(example.ts_ms, features, places, clicked[seen])
