"""A model answers one row and many, in finite numbers of the right kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.checks.models import check_models
from online_models.tasks import COLUMNS

N = len(COLUMNS)


@pytest.fixture(scope="module")
def bundle(pristine: Path) -> Bundle:
    return open_bundle(pristine)


def test_good_models_pass(bundle: Bundle, pristine: Path) -> None:
    """Those of the tiny bundle, whose item tower has no vector for an item without content."""
    check_models(pristine, bundle)


@pytest.mark.parametrize(
    ("model", "change", "words"),
    [
        ("ranker", lambda found: found * np.nan, "its ranker answers what is no finite number"),
        ("ranker", lambda found: found * 0, "its ranker answers 0 for"),
        ("ranker", lambda found: found * 0 + 0.3, "its ranker answers 0.3 for"),
        ("ranker", lambda found: found - 7, "to -6.* expected probabilities"),
        ("ranker", lambda found: found * 1e30, "expected probabilities"),
        ("ranker", lambda found: found.astype(np.float64), rf"float64, not \(1, {N}\) float32"),
        ("ranker", lambda found: found[:, :2], rf"\(1, 2\) float32, not \(1, {N}\)"),
        ("ranker", lambda found: found[:, 0], r"\(1,\) float32, not"),
        ("ranker", lambda found: found[:16], rf"\(16, {N}\) float32, not \(17, {N}\)"),
        ("ranker", lambda found: found.tolist(), "answers list"),
        ("encoder", lambda found: found * np.nan, "its encoder answers what is no finite vector"),
        ("encoder", lambda found: found * 0, "its encoder answers zero to everything"),
        ("encoder", lambda found: found[:, :32], r"\(1, 32\)"),
        ("item_tower", lambda found: found * np.inf, "its item tower .* no finite vector"),
        ("item_tower", lambda found: found * 0, "its item tower answers zero"),
        ("item_tower", lambda found: found[:500], r"\(500, 64\) float32, not \(512, 64\)"),
        ("item_tower", lambda found: found[2], "its item tower cannot answer"),
    ],
)
def test_a_model_that_is_not_fit_is_refused(
    bundle: Bundle, pristine: Path, model: str, change: Any, words: str
) -> None:
    """By name, and with what it answers."""
    asked = getattr(bundle, model)
    other = replace(bundle, **{model: lambda **inputs: change(asked(**inputs))})
    with pytest.raises(BundleError, match=words):
        check_models(pristine, other)


def test_a_few_rows_that_are_wrong_are_found(bundle: Bundle, pristine: Path) -> None:
    """Only where the features are at their limits."""

    def ranker(features: np.ndarray) -> np.ndarray:
        found = bundle.ranker(features=features)
        found[np.all(np.abs(features) == 10, axis=1)] = np.nan
        return found

    with pytest.raises(BundleError, match="no finite number"):
        check_models(pristine, replace(bundle, ranker=ranker))


def test_a_model_of_other_inputs_is_refused(bundle: Bundle, pristine: Path) -> None:
    """By what its graph says of itself, before it is asked."""
    with pytest.raises(BundleError, match=r"its ranker takes \['content'\], expected"):
        check_models(pristine, replace(bundle, ranker=bundle.item_tower))
