"""Ids, hashes and vectors must be of one another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import BundleError
from freshet.core.events.partition import item_hashes
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.checks.identity import check_identity


@pytest.fixture(scope="module")
def bundle(pristine: Path) -> Bundle:
    return open_bundle(pristine)


def test_a_good_bundle_passes(bundle: Bundle, pristine: Path) -> None:
    """As it is."""
    check_identity(pristine, bundle)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (lambda ids: ids[::-1], "are not of the same items: 300 of 300 rows differ"),
        (lambda ids: [*ids[:-2], ids[-1], ids[-2]], "2 of 300 rows differ, row 298 first"),
        (lambda ids: [*ids[:-1], ids[0]], "300 ids, 299 different"),
        (lambda ids: ["", *ids[1:]], "holds what is no item id"),
        (lambda ids: ["x" * 129, *ids[1:]], "holds what is no item id"),
    ],
)
def test_other_ids_are_refused(bundle: Bundle, pristine: Path, ids: object, words: str) -> None:
    """Also where two rows alone are exchanged."""
    other = replace(bundle, item_ids=ids(bundle.item_ids))  # type: ignore[operator]
    with pytest.raises(BundleError, match=words):
        check_identity(pristine, other)


def test_hashes_of_others_are_refused(bundle: Bundle, pristine: Path) -> None:
    """They are what the folds look a vector up by."""
    hashes = np.sort(item_hashes([f"other-{n}" for n in range(300)]))
    other = replace(bundle, items=replace(bundle.items, hashes=hashes))
    with pytest.raises(BundleError, match="are not of the same items"):
        check_identity(pristine, other)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 0.5])
def test_a_vector_that_is_none_is_refused(bundle: Bundle, pristine: Path, value: float) -> None:
    """One in the last row is enough."""
    vectors = bundle.item_vectors.copy()
    vectors[-1] = value
    other = replace(bundle, items=replace(bundle.items, vectors=vectors))
    with pytest.raises(BundleError, match="not of unit length"):
        check_identity(pristine, other)
