"""A ranker that learns from labels drawn at random: it must foresee nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from online_models.maths.classification import auc
from online_models.training.exposures import Exposure
from replay.evaluate.check import Check
from replay.evaluate.request import LIST_LENGTH

SIGMAS: Final = 4.0
"""A bound that chance crosses in about one of 10,000 checks."""

_FITTED: Final = 0.5  # of the exposures are learned from,
_CHOSEN: Final = 0.65  # those up to here choose the epoch, and the rest are foreseen
_LEAST_HELD_OUT: Final = 30

Scorer = Callable[[Exposure], NDArray[Any]]
"""Returns the (n,) scores of the candidates of an exposure."""

Fit = Callable[[Sequence[Exposure], Sequence[Exposure]], Scorer]
"""Returns a ranker that was trained on exposures, its epoch chosen by later ones."""


def relabelled(exposures: Sequence[Exposure], rng: np.random.Generator) -> list[Exposure]:
    """Return exposures whose right candidate is drawn at random, thinned as a trainer does."""
    return [
        replace(each, target=int(rng.integers(len(each.features)))).thinned(rng)
        for each in exposures
        if len(each.features) > 1
    ]


def check_random_labels(exposures: Sequence[Exposure], fit: Fit, rng: np.random.Generator) -> Check:
    """Return whether a ranker foresees no more than chance what was drawn at random.

    Whatever it does foresee came by another way than the features, such as the place of the right
    candidate in the list. Under chance the hits are a sum of Bernoulli variables, and the rank of
    the right one of n candidates is uniform, so its AUC has variance (n + 1) / (12 (n - 1)).

    Args:
        exposures: in the order of time, the right candidate of each drawn at random.
        fit: trains a ranker.
        rng: orders equal scores.
    """
    name = "random labels"
    fitted, chosen = (int(len(exposures) * share) for share in (_FITTED, _CHOSEN))
    held_out = exposures[chosen:]
    if len(held_out) < _LEAST_HELD_OUT:
        return Check(name, None, f"There are {len(exposures)} exposures: too few.")
    scorer = fit(exposures[:fitted], exposures[fitted:chosen])
    sizes = np.array([len(each.features) for each in held_out])
    scores = [scorer(each) for each in held_out]
    right = [np.arange(len(each.features)) == each.target for each in held_out]
    aucs = np.array([auc(*pair) for pair in zip(scores, right, strict=True)])
    places = [_place(each, mask, rng) for each, mask in zip(scores, right, strict=True)]
    hits = np.array(places) < LIST_LENGTH
    expected = np.minimum(LIST_LENGTH / sizes, 1)
    hit_sigmas = _sigmas(hits.sum() - expected.sum(), (expected * (1 - expected)).sum())
    auc_sigmas = _sigmas((aucs - 0.5).sum(), ((sizes + 1) / (12 * (sizes - 1))).sum())
    return Check(
        name=name,
        passed=bool(hit_sigmas <= SIGMAS and abs(auc_sigmas) <= SIGMAS),
        found=f"A ranker that was trained on labels drawn at random has AUC {aucs.mean():.3f} on "
        f"{len(held_out)} further ones ({auc_sigmas:+.1f} standard errors from .5), and "
        f"{hits.mean():.3f} of them among its first {LIST_LENGTH}, where chance has "
        f"{expected.mean():.3f} ({hit_sigmas:+.1f}); {SIGMAS:g} are allowed.",
        figures={
            "auc": float(aucs.mean()),
            "auc_sigmas": auc_sigmas,
            "recall20": float(hits.mean()),
            "expected_recall20": float(expected.mean()),
            "recall20_sigmas": hit_sigmas,
        },
    )


def _place(scores: NDArray[Any], right: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """Return the place of the right one, from 0; equal scores stand in any order."""
    mine = scores[right][0]
    return int((scores > mine).sum() + rng.integers((scores == mine).sum()))


def _sigmas(surplus: float, variance: float) -> float:
    return float(surplus / math.sqrt(variance)) if variance > 0 else 0.0
