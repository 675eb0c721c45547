"""Writes a bundle: arrays in their fixed order, graphs, index, golden vectors, manifest last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import Item
from online_models.artifacts.bundle import open_bundle
from online_models.artifacts.golden import record_golden
from online_models.artifacts.item_index import EXACT_BELOW, build_graph
from online_models.artifacts.manifest import (
    ENCODER,
    GOLDEN,
    HASHES,
    INDEX,
    ITEM_IDS,
    ITEM_TOWER,
    RANKER,
    VECTORS,
    Manifest,
    seal,
)

GOLDEN_TOLERANCE = 1e-3
"""Scores and vectors are of order 1; another CPU's rounding stays far below."""


def write_bundle(
    folder: Path,
    *,
    items: Sequence[Item],
    vectors: NDArray[np.float32],
    ranker: bytes,
    encoder: bytes,
    item_tower: bytes,
    metrics: dict[str, Any],
    created_ts_ms: int,
    parent: str | None = None,
    exact_below: int = EXACT_BELOW,
) -> Manifest:
    """Write a bundle into an empty folder.

    Args:
        folder: where it goes; made when it is missing.
        items: (n,) the items that can be retrieved.
        vectors: (n, EMBEDDING_DIM) their vectors; brought to unit length.
        ranker: ONNX, `features` (n, F) to (n, T).
        encoder: ONNX, `vectors`, `types`, `ages_s`, `mask` to (b, EMBEDDING_DIM).
        item_tower: ONNX, `content` (n, CONTENT_DIM) to (n, EMBEDDING_DIM).
        metrics: what was measured.
        created_ts_ms: wall clock.
        parent: the version in use when this one was made.
        exact_below: number of items from which the index is a graph.
    """
    order = np.argsort(item_hashes([item.item_id for item in items]), kind="stable")
    items = [items[row] for row in order]
    item_ids = [item.item_id for item in items]
    vectors = vectors[order].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / VECTORS, vectors)
    np.save(folder / HASHES, item_hashes(item_ids))
    (folder / ITEM_IDS).write_bytes(msgspec.json.encode(item_ids))
    for name, graph in ((RANKER, ranker), (ENCODER, encoder), (ITEM_TOWER, item_tower)):
        (folder / name).write_bytes(graph)
    if len(items) >= exact_below:
        build_graph(folder / INDEX, vectors)

    def sealed() -> Manifest:
        return seal(
            folder,
            created_ts_ms=created_ts_ms,
            parent=parent,
            item_count=len(items),
            golden_tolerance=GOLDEN_TOLERANCE,
            metrics=metrics,
        )

    # The golden answers are the bundle's own, so it is opened once before they exist.
    (folder / GOLDEN).touch()
    sealed()
    record_golden(folder, open_bundle(folder), items)
    return sealed()
