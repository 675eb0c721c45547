"""Item vectors of a bundle, by item hash; numpy only, for whoever needs no model."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.manifest import (
    HASHES,
    VECTORS,
    Manifest,
    read_manifest,
    read_verified,
    tag_of,
)

_HEADER_BYTES: Final = 1 << 16


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
        return cls.read(folder, read_manifest(folder))

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> ItemVectors:
        """Return the vectors of the bundle in `folder`, whose manifest was read.

        Raises:
            BundleError: when the files are not what the manifest says.
        """
        hashes = _read_array(folder, manifest, HASHES, (manifest.item_count,), np.uint32)
        shape = (manifest.item_count, EMBEDDING_DIM)
        vectors = _read_array(folder, manifest, VECTORS, shape, np.float32)
        if np.any(hashes[1:] < hashes[:-1]):
            raise BundleError(folder, f"{HASHES} is not in ascending order")
        return cls(tag_of(manifest.version), hashes, vectors)


def _read_array(
    folder: Path, manifest: Manifest, name: str, shape: tuple[int, ...], dtype: type[np.generic]
) -> NDArray[Any]:
    """Return an array, its header compared before anything of that size is reserved."""
    content = read_verified(folder, manifest, name)
    stream = io.BytesIO(content[:_HEADER_BYTES])
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        found_shape, by_column, found_dtype = read_header[version](stream)
        if found_dtype.hasobject:
            raise ValueError("it holds objects, and objects may hold code")
    except Exception as error:  # a header is a Python literal: it can be wrong in any way
        raise BundleError(folder, f"its vectors cannot be read ({name}: {error})") from error
    expected = np.dtype(dtype).newbyteorder("<")
    if found_shape != shape or found_dtype != expected:
        found = f"{found_shape} {found_dtype}"
        raise BundleError(folder, f"{name} is {found}, expected {shape} {expected}")
    start = stream.tell()
    size = start + expected.itemsize * math.prod(shape)
    if by_column or len(content) != size:
        found = "by columns" if by_column else f"of {len(content)} bytes"
        raise BundleError(folder, f"{name} is {found}, expected rows, {size} bytes")
    found_array = np.frombuffer(content, expected, offset=start).reshape(shape)
    return np.require(found_array, requirements=["C", "A", "W"])
