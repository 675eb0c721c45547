"""The item vectors of the bundle in use, as the user fold needs them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.registry import Registry
from online_models.artifacts.vectors import ItemVectors

log = logging.getLogger(__name__)

POLL_S = 1.0


class NoVectors:
    """Stands in until a first bundle is published: no item has a vector."""

    tag = 0

    def lookup(self, hashes: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Return zeros, (n, EMBEDDING_DIM)."""
        return np.zeros((len(hashes), EMBEDDING_DIM), np.float32)


class HashRows:
    """Finds hashes in a sorted array by their first bits, several times quicker than bisection.

    Args:
        hashes: (n,) uint32, ascending and spread evenly, as murmur2 makes them.
    """

    def __init__(self, hashes: NDArray[np.uint32]) -> None:
        bits = max(len(hashes).bit_length() + 1, 1)  # two buckets or more for each hash
        self._shift = np.uint32(32 - bits)
        firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(self._shift)
        self._starts = np.searchsorted(hashes, firsts)
        self._most = int(np.diff(self._starts, append=len(hashes)).max(initial=0))
        self._hashes = np.r_[hashes, hashes[-1:]]  # one more to look at behind the last

    def find(self, asked: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the (m,) rows of the asked hashes, n where there is none."""
        unknown = max(len(self._hashes) - 1, 0)
        rows: NDArray[np.int64] = self._starts[asked >> self._shift]
        if not unknown:
            return rows
        left = np.flatnonzero(self._hashes[rows] != asked)
        for _ in range(1, self._most):
            rows[left] = np.minimum(rows[left] + 1, unknown)
            left = left[self._hashes[rows[left]] != asked[left]]
        rows[left] = unknown
        return rows


class BundleVectors:
    """Vectors of one bundle; an item that it does not know has a zero vector."""

    def __init__(self, vectors: ItemVectors) -> None:
        self.tag = vectors.tag
        self._rows = HashRows(vectors.hashes)
        nothing = np.zeros((1, EMBEDDING_DIM), np.float32)
        self._vectors = np.concatenate([vectors.vectors, nothing])  # the last row is of the unknown

    def lookup(self, hashes: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Return the vectors of items, (n, EMBEDDING_DIM)."""
        return np.take(self._vectors, self._rows.find(hashes), axis=0)


class LiveVectors:
    """Follows the registry's current bundle."""

    def __init__(self, models_dir: Path) -> None:
        self._registry = Registry(models_dir)
        self._version: str | None = None
        self.current: NoVectors | BundleVectors = NoVectors()

    def refresh(self) -> None:
        """Load the current bundle's vectors when it is another one than before."""
        version = self._registry.current()
        if version is None or version == self._version:
            return
        self._version = version  # also when it fails: a broken bundle is reported once
        try:
            self.current = BundleVectors(ItemVectors.load(self._registry.path(version)))
        except (BundleError, OSError, ValueError) as error:
            log.error("vectors of bundle %s refused, the old ones stay: %s", version, error)
            return
        log.info("session embeddings use bundle %s", version)

    async def follow(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            self.refresh()
