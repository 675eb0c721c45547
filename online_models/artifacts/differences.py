"""What differs between two published bundles: files, items, figures, and the ranker's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Struct

from online_models.artifacts.bundle import read_item_ids
from online_models.artifacts.manifest import RANKER, Manifest, read_manifest, read_verified
from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURES

_PROBES: Final = 500
_SEED: Final = 3


class Differences(Struct, frozen=True, kw_only=True):
    """How a bundle differs from an older one.

    Attributes:
        files: that differ.
        figures: measured by both trainers under the same name, and not the same: old and new.
        rank_correlation: Spearman's, of the clicks that the rankers foresee of random candidates; 1
            is the same order.
        score_difference: mean absolute, of the same probabilities.
    """

    old: str
    new: str
    files: list[str]
    items_added: int
    items_removed: int
    figures: dict[str, tuple[float, float]]
    rank_correlation: float
    score_difference: float


def differences(old: Path, new: Path) -> Differences:
    """Return what differs between the bundles in two folders.

    Raises:
        BundleError: one of them is damaged.
    """
    before, after = read_manifest(old), read_manifest(new)
    names = sorted(before.files.keys() | after.files.keys())
    files = [name for name in names if before.files.get(name) != after.files.get(name)]
    old_ids, new_ids = set(read_item_ids(old, before)), set(read_item_ids(new, after))
    probes = np.random.default_rng(_SEED).normal(0, 1, (_PROBES, len(FEATURES))).astype(np.float32)
    rankers = [
        OnnxModel(folder / RANKER, read_verified(folder, manifest, RANKER))
        for folder, manifest in ((old, before), (new, after))
    ]
    scores = np.stack([ranker(features=probes)[:, 0] for ranker in rankers])
    ranks = np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1)
    return Differences(
        old=before.version,
        new=after.version,
        files=files,
        items_added=len(new_ids - old_ids),
        items_removed=len(old_ids - new_ids),
        figures=_figures(before, after),
        rank_correlation=round(float(np.asarray(np.corrcoef(ranks))[0, 1]), 4),
        score_difference=round(float(np.abs(scores[1] - scores[0]).mean()), 6),
    )


def _figures(before: Manifest, after: Manifest) -> dict[str, tuple[float, float]]:
    old, new = _flat(before.metrics), _flat(after.metrics)
    return {
        name: (old[name], new[name])
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    }


def _flat(metrics: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers in nested metrics by their dotted names.

    >>> _flat({"test": {"ranker": {"mrr": 0.5}}, "note": "x", "n": 2})
    {'test.ranker.mrr': 0.5, 'n': 2.0}
    """
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[f"{prefix}{name}"] = float(value)
    return flat
