"""The item vectors of the bundle in use, as the user fold needs them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.candidates import MAX_ATTEMPTS, Candidates
from online_models.artifacts.check import end_checks
from online_models.artifacts.checks.budget import Budget
from online_models.artifacts.registry import Registry
from online_models.artifacts.vectors import ItemVectors

log = logging.getLogger(__name__)

POLL_S = 1.0


class VectorTable(NamedTuple):
    """The item vectors of one bundle, and where to find them.

    Hashes are found by their first bits, since murmur2 spreads them evenly: hash h stands at or
    behind row `starts[h >> shift]`.

    Attributes:
        tag: of the bundle, 0 for none.
        hashes: (n,) uint32, ascending.
        starts: (buckets,) int64.
        shift: leaves of a hash what numbers its bucket.
        vectors: (n, EMBEDDING_DIM) float32.
    """

    tag: int
    hashes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    shift: int
    vectors: NDArray[np.float32]


def vector_table(tag: int, hashes: NDArray[np.uint32], vectors: NDArray[np.float32]) -> VectorTable:
    """Return the table of some vectors.

    Args:
        tag: of their bundle.
        hashes: (n,) uint32, ascending.
        vectors: (n, EMBEDDING_DIM) float32.
    """
    bits = max(len(hashes).bit_length() + 1, 1)  # two buckets or more for each hash
    shift = 32 - bits
    firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(shift)
    starts = np.searchsorted(hashes, firsts).astype(np.int64)
    return VectorTable(
        tag, np.ascontiguousarray(hashes), starts, shift, np.ascontiguousarray(vectors)
    )


NO_VECTORS = vector_table(0, np.empty(0, np.uint32), np.empty((0, EMBEDDING_DIM), np.float32))
"""Stands in until a first bundle is published: no item has a vector."""


class LiveVectors:
    """Follows the registry's current bundle, by the verdict of the server: checked in a child.

    Law: the vectors in use stay until others were checked and read; nothing that lies in the folder
    of the models ends a worker.
    """

    def __init__(self, models_dir: Path, *, budget: Budget | None = None) -> None:
        self._registry = Registry(models_dir, budget=budget)
        self._candidates = Candidates(self._registry)
        self._version: str | None = None
        self.current = NO_VECTORS

    def start(self) -> None:
        """Load the current bundle's vectors where its check is short: it passed before.

        All else is left to `follow`. A worker that waits for a check folds nothing, and embeddings
        are computed from histories, so that what comes until then is not missing in them.
        """
        version = self._candidates.next(None)
        passed = version is not None and self._registry.passed(version)
        if version and passed and (table := self._load(version)):
            self._use(version, table)

    def refresh(self) -> None:
        """Load the current bundle's vectors when it is another one than before."""
        for _ in range(MAX_ATTEMPTS):
            version = self._candidates.next(self._version)
            if version is None:
                return
            if table := self._load(version):
                self._use(version, table)

    async def follow(self) -> None:
        """Refresh for ever, and read aside: the vectors change between two micro-batches."""
        try:
            while True:
                await asyncio.sleep(POLL_S)
                while version := await asyncio.to_thread(self._candidates.next, self._version):
                    if table := await asyncio.to_thread(self._load, version):
                        self._use(version, table)
        finally:
            end_checks()

    def _load(self, version: str) -> VectorTable | None:
        """Return the vectors of a version, None where it is refused."""
        try:
            self._registry.check(version)
            found = ItemVectors.load(self._registry.path(version))
            return vector_table(found.tag, found.hashes, found.vectors)
        except Exception as error:  # whatever a strange file makes a library raise
            self._candidates.refuse(version, error)
            kept = self._version or "none"
            # As a template of its own: repeated lines are held back by their template.
            log.error(f"vectors of bundle {version} refused, those of {kept} stay: {error}")
            return None

    def _use(self, version: str, table: VectorTable) -> None:
        self._version, self.current = version, table
        log.info("session embeddings use bundle %s", version)
