"""Item vectors are read without a model, and only as the manifest says."""

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
    """Under the same tag, in the order of the hashes of its items."""
    bundle, vectors = open_bundle(pristine), ItemVectors.load(pristine)
    assert vectors.tag == bundle.tag
    assert np.array_equal(vectors.vectors, bundle.item_vectors)
    assert np.array_equal(vectors.hashes, item_hashes(bundle.item_ids))


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
