"""The bundle in use, bound to the rows of the item table, and its swap while requests run.

Law: a request takes `LiveBundle.current` once and keeps it to its end. A new bundle is checked in a
child process, loaded and bound aside, and put in use by one assignment; a refused one is counted,
remembered until its files change, and the old one serves on, whatever was raised. A live index is
never written: an item that came after the bundle is found by exact search in a side list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import BundleError
from freshet.core.events.schema import Item
from freshet.core.metrics import ITEMS_KNOWN, MODEL_INFO, MODEL_SWAPS
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.candidates import MAX_ATTEMPTS, Candidates
from online_models.artifacts.check import end_checks
from online_models.artifacts.registry import Registry
from online_models.maths.topk import top_k
from serving.item_table import ItemTable, Rows, grown

POLL_S: Final = 1.0
EMBED_AT_ONCE: Final = 512

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]


class BoundBundle:
    """A bundle whose items are named by rows of the table.

    Attributes:
        vectors: (capacity, EMBEDDING_DIM) float32 by row of the table, zero where there is none.
        has_vector: (capacity,) bool.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.vectors = np.zeros((0, EMBEDDING_DIM), np.float32)
        self.has_vector = np.zeros(0, bool)
        self._given_up = np.zeros(0, bool)
        self._index_row_of_id = {item_id: row for row, item_id in enumerate(bundle.item_ids)}
        self._table_row = np.full(len(bundle.item_ids), -1, np.int64)  # by row of the index
        self._bound = 0
        self._side_rows = np.empty(0, np.int64)
        self._side_vectors = np.empty((0, EMBEDDING_DIM), np.float32)

    def bind(self, item_ids: Sequence[str]) -> None:
        """Give rows of the table their vectors; those bound before are passed over.

        Args:
            item_ids: ids of the table, by row.
        """
        if len(item_ids) == self._bound:
            return
        start, end = self._bound, len(item_ids)
        if end > len(self.vectors):
            capacity = max(end, 2 * len(self.vectors))
            self.vectors = grown(self.vectors, capacity)
            self.has_vector = grown(self.has_vector, capacity)
            self._given_up = grown(self._given_up, capacity)
        find = self._index_row_of_id.get
        index_rows = np.array([find(item_ids[row], -1) for row in range(start, end)], np.int64)
        table_rows = np.arange(start, end)[index_rows >= 0]
        index_rows = index_rows[index_rows >= 0]
        self._table_row[index_rows] = table_rows
        self.vectors[table_rows] = self.bundle.item_vectors[index_rows]
        self.has_vector[table_rows] = True
        self._bound = end

    def without_vector(self, table: ItemTable) -> Rows:
        """Return the rows that are offered and have no vector yet, but could have one."""
        self.bind(table.ids)
        settled = self.has_vector[: table.size] | self._given_up[: table.size]
        return np.flatnonzero(table.offered[: table.size] & ~settled)

    def give_up(self, rows: Rows) -> None:
        """Leave rows of the table without a vector."""
        self._given_up[rows] = True

    def add_beside(self, rows: Rows, vectors: Floats) -> None:
        """Put items that the index does not hold on the side list.

        Args:
            rows: (n,) rows of the table without a vector.
            vectors: (n, EMBEDDING_DIM) float32, unit norm.
        """
        self.vectors[rows] = vectors
        self.has_vector[rows] = True
        self._side_rows = np.concatenate([self._side_rows, rows])
        self._side_vectors = np.concatenate([self._side_vectors, vectors])

    def nearest(self, vector: Floats, k: int) -> tuple[Rows, Floats]:
        """Return the at most k rows of the table nearest to a vector, and their scores.

        Args:
            vector: (EMBEDDING_DIM,) float32, unit norm.
            k: how many.
        """
        index_rows, scores = self.bundle.nearest(vector, k)
        rows = self._table_row[index_rows]
        in_table = rows >= 0
        rows, scores = rows[in_table], scores[in_table]
        if len(self._side_rows):
            beside = self._side_vectors @ vector
            best = top_k(beside, k)
            rows = np.concatenate([rows, self._side_rows[best]])
            scores = np.concatenate([scores, beside[best]])
        best = top_k(scores, k)
        return rows[best], scores[best]


class LiveBundle:
    """Holds the bundle in use and follows the registry.

    Args:
        registry: the published bundles.
        table: the item state.

    Attributes:
        current: the bundle in use, None before the first.
        looked: whether a bundle was looked for, whatever came of it: there may be none, or one that
            is refused.
    """

    def __init__(self, registry: Registry, table: ItemTable) -> None:
        self._registry = registry
        self._table = table
        self._candidates = Candidates(registry)
        self.current: BoundBundle | None = None
        self.looked = False

    @property
    def version(self) -> str:
        """Version in use, "none" before the first."""
        return self.current.bundle.version if self.current else "none"

    async def run(self) -> None:
        """Follow the registry and give new items their vectors, for ever."""
        try:
            while True:
                await self.refresh()
                self.looked = True
                await self.embed_new_items()
                await asyncio.sleep(POLL_S)
        finally:
            end_checks()

    async def refresh(self) -> None:
        """Put the registry's current version in use when it is another one and may serve.

        Where nothing is in use, the newest version that may serve does as well. Whatever a bundle
        makes a library raise, this does not.
        """
        for _ in range(MAX_ATTEMPTS):
            version = await asyncio.to_thread(self._candidates.next, self._in_use)
            if version is None:
                return
            try:
                bound = await asyncio.to_thread(self._load, version, self._table.ids[:])
                await self._embed(bound)
            except Exception as error:
                self._refuse(version, error)
            else:
                self._use(bound)

    @property
    def _in_use(self) -> str | None:
        return self.current.bundle.version if self.current else None

    def _refuse(self, version: str, error: Exception) -> None:
        self._candidates.refuse(version, error)
        MODEL_SWAPS.labels("rejected").inc()
        if isinstance(error, BundleError):
            log.error(str(error))  # repeated lines are held back by their template
        else:
            log.exception("bundle %s cannot be loaded", version, exc_info=error)

    async def embed_new_items(self) -> None:
        """Give the items that came after the bundle a vector, so that they can be found."""
        if self.current is not None:
            await self._embed(self.current)

    def _load(self, version: str, item_ids: list[str]) -> BoundBundle:
        self._registry.check(version)
        bound = BoundBundle(self._registry.load(version))
        bound.bind(item_ids)
        return bound

    async def _embed(self, bound: BoundBundle) -> None:
        """Give vectors to all that may have one; an item on which the tower fails gets none."""
        at_once = EMBED_AT_ONCE
        while len(rows := bound.without_vector(self._table)[:at_once]):
            items = [self._table.entries[row] or Item(item_id="-") for row in rows.tolist()]
            try:
                vectors = await asyncio.to_thread(bound.bundle.embed_items, items)
                bound.add_beside(rows, vectors)
            except Exception:  # the check cannot have asked for every item
                if len(rows) == 1:
                    log.exception("item %r gets no vector", items[0].item_id)
                    bound.give_up(rows)
                at_once = 1

    def _use(self, bound: BoundBundle) -> None:
        previous, self.current = self.current, bound
        if previous is not None:
            MODEL_INFO.remove(previous.bundle.version)
        MODEL_INFO.labels(bound.bundle.version).set(1)
        MODEL_SWAPS.labels("swapped").inc()
        ITEMS_KNOWN.labels("indexed").set(len(bound.bundle.item_ids))
        log.info("bundle %s is in use", bound.bundle.version)
