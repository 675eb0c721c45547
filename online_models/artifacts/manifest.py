"""The manifest of a bundle: what its files are, to the byte, and what they were made for.

Law: the version names the content. Its last part is a digest of the manifest, which holds the
digest of every file, so that no bit of a bundle changes under the same version.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from freshet.core.errors import BundleError
from freshet.core.state.records import EMBEDDING_DIM
from online_models.content import CONTENT_SCHEMA
from online_models.features import FEATURE_SCHEMA

FORMAT: Final = 3
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

_VERSION = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


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
    manifest = msgspec.structs.replace(draft, version=_version_of(draft))
    encoded = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"))
    (folder / MANIFEST).write_bytes(encoded)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`, its own digest checked.

    Raises:
        BundleError: when there is none, or it is not what this version of Freshet serves.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise BundleError(folder, f"its manifest cannot be read ({error})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(folder, f"its manifest is no manifest ({error})") from error
    named = _version_of(msgspec.structs.replace(manifest, version=""))
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
    return manifest


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
    for name in names:
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise BundleError(folder, f"{name} cannot be read ({error})") from error
        if size != manifest.files[name].size_bytes:
            expected = manifest.files[name].size_bytes
            raise BundleError(folder, f"{name} has {size} bytes, expected {expected}")
    for name in names:
        if _measure(folder / name) != manifest.files[name]:
            raise BundleError(folder, f"{name} differs from its SHA-256 in the manifest")


def _version_of(draft: Manifest) -> str:
    digest = hashlib.sha256(msgspec.json.encode(draft, order="deterministic")).hexdigest()
    created = datetime.fromtimestamp(draft.created_ts_ms / 1000, UTC)
    return f"{created:%Y%m%dT%H%M%S}-{digest[:8]}"


def _measure(path: Path) -> BundleFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BundleFile(size_bytes=path.stat().st_size, sha256=digest)
