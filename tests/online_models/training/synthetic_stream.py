"""Examples whose truth is known: two features and the position decide what is clicked.

Of what is clicked, a third feature decides what is stayed with; nothing is ever bought.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.example_log import LoggedExample
from freshet.core.events.examples import Example
from freshet.core.events.schema import TYPE_CODES
from online_models.artifacts.check import load_bundle
from online_models.artifacts.registry import Registry
from online_models.features import FEATURE_SCHEMA, FEATURES
from online_models.tasks import DWELL_S

SLOTS = 10
START_MS = 1_760_000_000_000
GOOD = FEATURES.index("momentum_z")
BAD = FEATURES.index("age_z")
REPELLING = FEATURES.index("popularity_gap_z")
ABSORBING = FEATURES.index("category_affinity_z")
POSITION_EFFECT = -0.2  # log-odds for each position further down


def truth(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds of a click at the first position, (n,)."""
    return np.asarray(-1.0 + 1.2 * features[:, GOOD] - 0.8 * features[:, BAD], np.float64)


def dwell_truth(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds of a dwell, given a click, (n,)."""
    return np.asarray(1.5 * features[:, ABSORBING] - 0.5, np.float64)


def rejection_truth(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds that a slot which is not clicked on is hidden, (n,)."""
    return np.asarray(2.0 * features[:, REPELLING] - 3.5, np.float64)


def stream(
    first: int, last: int, *, seed: int = 0, inverted: bool = False, given_by: str = "m"
) -> Iterator[LoggedExample]:
    """The examples numbered [first, last); each is the same whenever it is asked for."""
    for number in range(first, last):
        rng = np.random.default_rng([seed, number])
        features = rng.normal(size=(SLOTS, len(FEATURES))).astype(np.float16)
        # As logged: better items stand higher, so that position and score go together.
        features = features[np.argsort(-features[:, GOOD].astype(np.float64), kind="stable")]
        odds = truth(features.astype(np.float32)) + POSITION_EFFECT * np.arange(SLOTS)
        clicked = rng.random(SLOTS) < 1 / (1 + np.exp(odds if inverted else -odds))
        dwelt = rng.random(SLOTS) < 1 / (1 + np.exp(-dwell_truth(features.astype(np.float32))))
        hidden = rng.random(SLOTS) < 1 / (1 + np.exp(-rejection_truth(features.astype(np.float32))))
        made = example(
            number, features, clicked, clicked & dwelt, ~clicked & hidden, given_by=given_by
        )
        yield LoggedExample(number % 2, number // 2, made)


def example(
    number: int,
    features: NDArray[np.float16],
    clicked: NDArray[np.bool_],
    dwelt: NDArray[np.bool_] | None = None,
    hidden: NDArray[np.bool_] | None = None,
    *,
    given_by: str = "m",
) -> Example:
    """An answer that was shown whole."""
    n = len(clicked)
    dwelt = np.zeros(n, np.bool_) if dwelt is None else dwelt
    responses = (1 << TYPE_CODES["impression"]) + clicked * (1 << TYPE_CODES["click"])
    if hidden is not None:
        responses = responses + hidden * (1 << TYPE_CODES["hide"])
    return Example(
        request_id=f"r{number}",
        ts_ms=START_MS + 1000 * number,
        policy="p",
        model_version=given_by,
        feature_schema=FEATURE_SCHEMA,
        item_ids=[f"i{slot}" for slot in range(n)],
        positions=np.arange(n).astype("<u2").tobytes(),
        propensities=np.ones(n, "<f4").tobytes(),
        explored=np.zeros(n, "?").tobytes(),
        features=features.astype("<f2").tobytes(),
        responses=responses.astype("<u2").tobytes(),
        dwell_s=(dwelt * DWELL_S).astype("<f4").tobytes(),
        record=number // 2,
        place=0,
    )


def registry(models_dir: Path) -> Registry:
    """A registry that checks in this process, which is quick."""
    return Registry(models_dir, checker=load_bundle)
