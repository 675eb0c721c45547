"""Item vectors of a bundle, by item hash; numpy only, for whoever needs no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.manifest import HASHES, VECTORS, read_manifest, tag_of, verify_files


@dataclass(frozen=True, slots=True)
class ItemVectors:
    """The vectors of one bundle.

    Attributes:
        tag: names the bundle inside packed records, never 0.
        hashes: (n,) uint32, ascending.
        vectors: (n, EMBEDDING_DIM) float32, unit norm, in the order of `hashes`.
    """

    tag: int
    hashes: NDArray[np.uint32]
    vectors: NDArray[np.float32]

    @classmethod
    def load(cls, folder: Path) -> ItemVectors:
        """Return the vectors of the bundle in `folder`, their digests checked.

        Raises:
            BundleError: when the files are not what the manifest says.
        """
        manifest = read_manifest(folder)
        verify_files(folder, manifest, (HASHES, VECTORS))
        try:
            hashes = np.load(folder / HASHES, allow_pickle=False)
            vectors = np.load(folder / VECTORS, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BundleError(folder, f"its vectors cannot be read ({error})") from error
        shape = (manifest.item_count, EMBEDDING_DIM)
        if vectors.shape != shape or vectors.dtype != np.float32:
            found = f"{vectors.shape} {vectors.dtype}"
            raise BundleError(folder, f"{VECTORS} is {found}, expected {shape} float32")
        if hashes.shape != shape[:1] or hashes.dtype != np.uint32:
            found = f"{hashes.shape} {hashes.dtype}"
            raise BundleError(folder, f"{HASHES} is {found}, expected {shape[:1]} uint32")
        if np.any(hashes[1:] < hashes[:-1]):
            raise BundleError(folder, f"{HASHES} is not in ascending order")
        return cls(tag_of(manifest.version), hashes, vectors)
