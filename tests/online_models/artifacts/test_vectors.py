"""Item vectors are found by hash; what is unknown is zero and says so."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import BundleError
from freshet.core.events.partition import item_hashes
from online_models.artifacts.bundle import open_bundle
from online_models.artifacts.manifest import VECTORS
from online_models.artifacts.vectors import ItemVectors


def test_vectors_are_those_of_the_bundle(pristine: Path) -> None:
    """Under the same tag."""
    bundle, vectors = open_bundle(pristine), ItemVectors.load(pristine)
    assert vectors.tag == bundle.tag
    ids = [bundle.item_ids[row] for row in (5, 0, 299, 5)]
    found_vectors, found = vectors.lookup(item_hashes(ids))
    assert found.all()
    assert np.array_equal(found_vectors, bundle.item_vectors[[5, 0, 299, 5]])


def test_what_is_unknown_is_zero(pristine: Path) -> None:
    """Below, between and above the known hashes."""
    vectors = ItemVectors.load(pristine)
    known = vectors.hashes[7]
    asked = np.array([0, known, 2**32 - 1], np.uint32)
    found_vectors, found = vectors.lookup(asked)
    assert found.tolist() == [False, True, False]
    assert not found_vectors[[0, 2]].any()
    assert np.array_equal(found_vectors[1], vectors.vectors[7])


def test_nothing_is_found_among_nothing() -> None:
    """No items, or no question."""
    empty = ItemVectors(1, np.empty(0, np.uint32), np.empty((0, 64), np.float32))
    vectors, found = empty.lookup(np.array([3], np.uint32))
    assert not vectors.any()
    assert found.tolist() == [False]
    assert empty.lookup(np.empty(0, np.uint32))[0].shape == (0, 64)


def test_damaged_vectors_are_refused(pristine: Path, tmp_path: Path) -> None:
    """The digests of these files are checked, those of the models are not needed."""
    folder = tmp_path / "damaged"
    shutil.copytree(pristine, folder)
    (folder / "ranker.onnx").unlink()
    ItemVectors.load(folder)
    content = bytearray((folder / VECTORS).read_bytes())
    content[-1] ^= 1
    (folder / VECTORS).write_bytes(content)
    with pytest.raises(BundleError, match=r"vectors\.npy differs"):
        ItemVectors.load(folder)
