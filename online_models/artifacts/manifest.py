"""The manifest of a bundle: what its files are, to the byte, and what they were made for.

Law: the version names the content. Its last part is a digest of the manifest, which holds the
digest of every file, so that no bit of a bundle changes under the same version.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from freshet.core.errors import BundleError
from freshet.core.events.schema import LATEST_TS_MS
from freshet.core.state.records import EMBEDDING_DIM
from online_models.artifacts.files import read_bytes, sha256_of, size_of
from online_models.content import CONTENT_SCHEMA
from online_models.features import FEATURE_SCHEMA

FORMAT: Final = 4
MANIFEST: Final = "manifest.json"
RANKER: Final = "ranker.onnx"
ENCODER: Final = "encoder.onnx"
ITEM_TOWER: Final = "item_tower.onnx"
VECTORS: Final = "vectors.npy"
HASHES: Final = "hashes.npy"
ITEM_IDS: Final = "item_ids.json"
GOLDEN: Final = "golden.npz"
INDEX: Final = "index.hnsw"
REQUIRED_FILES: Final = frozenset({RANKER, ENCODER, ITEM_TOWER, VECTORS, HASHES, ITEM_IDS, GOLDEN})
OPTIONAL_FILES: Final = frozenset({INDEX})

MAX_MANIFEST_BYTES: Final = 4 << 20
MAX_ITEMS: Final = 20_000_000
MAX_GOLDEN_TOLERANCE: Final = 0.01
"""Scores are of order 1: with more, any answer would be taken for the right one."""

_MAX_DEPTH: Final = 32  # of what the trainer measured
_MAX_BYTES: Final = {RANKER: 256 << 20, ENCODER: 256 << 20, ITEM_TOWER: 256 << 20, GOLDEN: 64 << 20}
# Twice what arrays need, so that one of another type is named as what it is.
_MAX_BYTES_PER_ITEM: Final = {VECTORS: 8 * EMBEDDING_DIM, HASHES: 8, ITEM_IDS: 800, INDEX: 2048}
_HEADER_BYTES: Final = 1 << 16
_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")  # \d would take the digits of any script
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BundleFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    size_bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle is.

    Attributes:
        parent: the version that was in use when this one was made.
        golden_tolerance: largest absolute difference from a golden vector.
        metrics: what the trainer measured; keys are free, values are JSON.
    """

    format: int
    version: str
    created_ts_ms: int
    parent: str | None
    feature_schema: str
    content_schema: str
    dim: int
    item_count: int
    golden_tolerance: float
    files: dict[str, BundleFile]
    metrics: dict[str, Any]


def is_version(name: str) -> bool:
    """Return whether `name` could be the version of a bundle.

    >>> is_version("20261122T045100-0a1b2c3d"), is_version("../elsewhere")
    (True, False)
    """
    return _VERSION.fullmatch(name) is not None


def tag_of(version: str) -> int:
    """Return the 24-bit tag that names a version inside packed records; never 0."""
    return zlib.crc32(version.encode()) >> 8 or 1


def seal(
    folder: Path,
    *,
    created_ts_ms: int,
    parent: str | None,
    item_count: int,
    golden_tolerance: float,
    metrics: dict[str, Any],
) -> Manifest:
    """Write the manifest of the files in `folder` and return it."""
    names = sorted(REQUIRED_FILES | {name for name in OPTIONAL_FILES if (folder / name).exists()})
    draft = Manifest(
        format=FORMAT,
        version="",
        created_ts_ms=created_ts_ms,
        parent=parent,
        feature_schema=FEATURE_SCHEMA,
        content_schema=CONTENT_SCHEMA,
        dim=EMBEDDING_DIM,
        item_count=item_count,
        golden_tolerance=golden_tolerance,
        files={name: _measure(folder / name) for name in names},
        metrics=metrics,
    )
    manifest = msgspec.structs.replace(draft, version=version_of(draft))
    encoded = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"))
    (folder / MANIFEST).write_bytes(encoded)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`, its own digest checked.

    Raises:
        BundleError: when there is none, or it is not what this version of Freshet serves.
    """
    raw = read_bytes(folder, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
        named = version_of(msgspec.structs.replace(manifest, version=""))
    except Exception as error:  # depth, numbers and characters fail in a type of their own each
        raise BundleError(folder, f"its manifest is no manifest ({error})") from error
    if manifest.format != FORMAT:
        raise BundleError(
            folder,
            f"its format is {manifest.format}, expected {FORMAT}: another version of Freshet made "
            "it; `freshet train LOG` makes one of this version",
        )
    for what, found, expected in (
        ("version", manifest.version, named),
        ("feature schema", manifest.feature_schema, FEATURE_SCHEMA),
        ("content schema", manifest.content_schema, CONTENT_SCHEMA),
        ("vector dimension", manifest.dim, EMBEDDING_DIM),
    ):
        if found != expected:
            raise BundleError(folder, f"its {what} is {found!r}, expected {expected!r}")
    missing = REQUIRED_FILES - manifest.files.keys()
    unknown = manifest.files.keys() - REQUIRED_FILES - OPTIONAL_FILES
    if missing or unknown:
        raise BundleError(
            folder, f"its manifest misses {sorted(missing)} and adds {sorted(unknown)}"
        )
    for fault in _faults(manifest):
        raise BundleError(folder, fault)
    return manifest


def max_bytes(manifest: Manifest, name: str) -> int:
    """Return the most bytes that a file of a bundle with so many items may have."""
    if name in _MAX_BYTES:
        return _MAX_BYTES[name]
    return _HEADER_BYTES + manifest.item_count * _MAX_BYTES_PER_ITEM[name]


def read_verified(folder: Path, manifest: Manifest, name: str) -> bytearray:
    """Return the content of a file whose size and digest are those of the manifest.

    Raises:
        BundleError: it is another one.
    """
    content = read_bytes(folder, name, max_bytes(manifest, name))
    expected = manifest.files[name]
    if len(content) != expected.size_bytes:
        raise _of_another_size(folder, name, len(content), expected)
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise _of_another_digest(folder, name)
    return content


def verify_files(folder: Path, manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Compare files with the manifest: sizes first, then digests.

    Args:
        folder: the bundle.
        manifest: its manifest.
        names: files to compare; all of the manifest when None.

    Raises:
        BundleError: naming the first file that differs.
    """
    names = sorted(manifest.files if names is None else names)
    verify_sizes(folder, manifest, names)
    for name in names:
        if sha256_of(folder, name, max_bytes(manifest, name)) != manifest.files[name].sha256:
            raise _of_another_digest(folder, name)


def verify_sizes(folder: Path, manifest: Manifest, names: Iterable[str] | None = None) -> None:
    """Compare the sizes of files with the manifest.

    Args:
        folder: the bundle.
        manifest: its manifest.
        names: files to compare; all of the manifest when None.

    Raises:
        BundleError: naming the first file that differs.
    """
    for name in sorted(manifest.files if names is None else names):
        size = size_of(folder, name, max_bytes(manifest, name))
        if size != manifest.files[name].size_bytes:
            raise _of_another_size(folder, name, size, manifest.files[name])


def _of_another_size(folder: Path, name: str, size: int, expected: BundleFile) -> BundleError:
    return BundleError(folder, f"{name} has {size} bytes, expected {expected.size_bytes}")


def _of_another_digest(folder: Path, name: str) -> BundleError:
    return BundleError(folder, f"{name} differs from its SHA-256 in the manifest")


def _faults(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the values of a manifest, each in words."""
    if not 1 <= manifest.item_count <= MAX_ITEMS:
        yield f"it has {manifest.item_count} items, expected 1 to {MAX_ITEMS:,}"
    if not 0 < manifest.golden_tolerance <= MAX_GOLDEN_TOLERANCE:
        found = manifest.golden_tolerance
        yield f"its golden tolerance is {found:g}, expected above 0 and at most 0.01"
    if manifest.parent is not None and not is_version(manifest.parent):
        yield f"its parent is {manifest.parent!r}, expected a version"
    for name, file in manifest.files.items():
        if not 0 <= file.size_bytes <= (most := max_bytes(manifest, name)):
            yield f"its manifest gives {name} {file.size_bytes} bytes, expected at most {most:,}"
        if _SHA256.fullmatch(file.sha256) is None:
            yield f"its manifest gives {name} no SHA-256"
    if _depth(manifest.metrics) > _MAX_DEPTH:
        yield f"its metrics are nested deeper than {_MAX_DEPTH} levels"


def _depth(value: Any) -> int:
    """Return how deep JSON is nested, level by level: a call for each would end at a limit.

    >>> _depth({"a": [1, {"b": 2}]}), _depth(1)
    (3, 0)
    """
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def version_of(draft: Manifest) -> str:
    """Return the version of a manifest whose own is still empty.

    Raises:
        ValueError: it was made at no time that we know.
    """
    digest = hashlib.sha256(msgspec.json.encode(draft, order="deterministic")).hexdigest()
    if not 0 <= draft.created_ts_ms <= LATEST_TS_MS:
        raise ValueError(
            f"created_ts_ms is {draft.created_ts_ms}, expected a time from 1970 to 2099"
        )
    created = datetime.fromtimestamp(draft.created_ts_ms / 1000, UTC)
    return f"{created:%Y%m%dT%H%M%S}-{digest[:8]}"


def _measure(path: Path) -> BundleFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BundleFile(size_bytes=path.stat().st_size, sha256=digest)
