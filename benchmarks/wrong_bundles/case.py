"""What a wrong bundle is, and the tools to make one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from online_models.artifacts.bundle import open_bundle
from online_models.artifacts.golden import record_golden
from online_models.artifacts.manifest import MANIFEST, read_manifest, seal
from online_models.artifacts.tiny import tiny_items, write_tiny_bundle

N_ITEMS = 600
EXACT_BELOW = 100
OUTSIDE = "outside"
"""Folder beside the bundles that links lead to."""


@dataclass(frozen=True, slots=True)
class Case:
    """A way to make a bundle wrong.

    Attributes:
        name: of the case.
        damage: changes a copy of the good bundle, given that copy and another good bundle.
        words: a part of the reason with which it must be refused.
        in_child: whether only the child that checks may open it: it takes all memory or time, or
            ends the process.
    """

    name: str
    damage: Callable[[Path, Path], object]
    words: str
    in_child: bool = False


def write_good(folder: Path, seed: int = 0) -> None:
    """Write a good bundle with a graph as index."""
    write_tiny_bundle(folder, tiny_items(N_ITEMS), seed=seed, exact_below=EXACT_BELOW)


def reseal(folder: Path, **changes: Any) -> None:
    """Write a manifest whose sizes and digests fit the files that are there."""
    manifest = read_manifest(folder)
    known = {
        "created_ts_ms": manifest.created_ts_ms,
        "parent": manifest.parent,
        "item_count": manifest.item_count,
        "golden_tolerance": manifest.golden_tolerance,
        "metrics": manifest.metrics,
    }
    seal(folder, **(known | changes))


def record_again(folder: Path) -> None:
    """Let the models of a bundle give its golden answers, whatever they are."""
    reseal(folder)
    record_golden(folder, open_bundle(folder), tiny_items(16))
    reseal(folder)


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Change fields of the manifest and nothing else: not even the version, which is a digest."""
    path = folder / MANIFEST
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))
