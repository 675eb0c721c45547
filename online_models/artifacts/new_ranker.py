"""A bundle like another one, with a ranker of its own.

What does not change is linked, not copied: a published file is never written again, so both may
hold it, and a bundle every few minutes costs a few hundred kilobytes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from freshet.core.events.schema import Item
from online_models.artifacts.bundle import open_bundle
from online_models.artifacts.golden import record_golden
from online_models.artifacts.manifest import (
    GOLDEN,
    RANKER,
    Manifest,
    read_manifest,
    seal,
    verify_files,
)


def write_with_ranker(
    folder: Path, base: Path, ranker: bytes, *, metrics: dict[str, Any], created_ts_ms: int
) -> Manifest:
    """Write a bundle into an empty folder.

    Args:
        folder: where it goes.
        base: the published bundle that gives everything else.
        ranker: ONNX, `features` (n, F) to (n, C).
        metrics: what was measured of the ranker; added to what the base says of itself.
        created_ts_ms: wall clock.

    Raises:
        BundleError: the base is damaged, or the ranker is no graph.
    """
    known = read_manifest(base)
    verify_files(base, known)  # a new manifest would make damage look whole
    for name in known.files:
        if name not in {RANKER, GOLDEN}:
            _link(base / name, folder / name)
    (folder / RANKER).write_bytes(ranker)
    shutil.copyfile(base / GOLDEN, folder / GOLDEN)

    def sealed() -> Manifest:
        return seal(
            folder,
            created_ts_ms=created_ts_ms,
            parent=known.version,
            item_count=known.item_count,
            golden_tolerance=known.golden_tolerance,
            metrics=known.metrics | metrics,
        )

    # As when a bundle is made whole: the golden answers are its own.
    sealed()
    record_golden(folder, open_bundle(folder), _golden_items(base))
    return sealed()


def _golden_items(base: Path) -> list[Item]:
    """Return the items that the golden questions of a bundle are about."""
    with np.load(base / GOLDEN, allow_pickle=False) as arrays:
        return msgspec.json.decode(arrays["items_json"].tobytes(), type=list[Item])


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
