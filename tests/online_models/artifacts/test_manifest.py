"""The manifest: the version names the content to the bit, and nothing else passes for a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.manifest import (
    FORMAT,
    INDEX,
    MANIFEST,
    RANKER,
    REQUIRED_FILES,
    Manifest,
    is_version,
    read_manifest,
    seal,
    tag_of,
    verify_files,
)

CREATED_TS_MS = 1_763_787_060_000  # 2025-11-22 04:51:00 UTC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle whose files are their names, sealed."""
    for name in REQUIRED_FILES:
        (tmp_path / name).write_bytes(name.encode())
    sealed(tmp_path)
    return tmp_path


def sealed(folder: Path, **changes: Any) -> Manifest:
    """Seal a folder."""
    given: dict[str, Any] = {
        "created_ts_ms": CREATED_TS_MS, "parent": None, "item_count": 3,
        "golden_tolerance": 0.01, "metrics": {"recall": 0.5},
    }  # fmt: skip
    return seal(folder, **given | changes)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change fields of the manifest, and nothing to make them fit."""
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest | changes))


def resealed(folder: Path, **changes: Any) -> None:
    """Change fields, and name the content anew: only the content is wrong then."""
    from online_models.artifacts.manifest import version_of

    manifest = msgspec.structs.replace(read_manifest(folder), **changes)
    version = version_of(msgspec.structs.replace(manifest, version=""))
    whole = msgspec.structs.replace(manifest, version=version)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(whole))


def test_what_was_sealed_is_read_back(folder: Path) -> None:
    """Field by field; and the files are those."""
    manifest = read_manifest(folder)
    assert manifest == sealed(folder)
    assert manifest.files.keys() == REQUIRED_FILES
    assert manifest.files[RANKER].size_bytes == len(RANKER)
    assert manifest.version.startswith("20251122T045100-")
    verify_files(folder, manifest)


def test_the_same_content_has_the_same_version(folder: Path) -> None:
    """Sealed twice, and whatever the order of the metrics is."""
    one = sealed(folder, metrics={"a": 1, "b": 2}).version
    assert sealed(folder, metrics={"b": 2, "a": 1}).version == one


@pytest.mark.parametrize(
    "changes",
    [{"created_ts_ms": CREATED_TS_MS + 1}, {"parent": "x"}, {"item_count": 4},
     {"golden_tolerance": 0.02}, {"metrics": {}}],
    ids=["time", "parent", "items", "tolerance", "metrics"],
)  # fmt: skip
def test_any_other_content_has_another_version(folder: Path, changes: dict[str, Any]) -> None:
    """Also what was only measured."""
    assert sealed(folder, **changes).version != sealed(folder).version


def test_another_bit_of_a_file_is_another_version(folder: Path) -> None:
    """Of the same size."""
    before = read_manifest(folder).version
    (folder / RANKER).write_bytes(b"R" + RANKER.encode()[1:])
    assert sealed(folder).version != before


def test_an_index_belongs_to_the_bundle_where_there_is_one(folder: Path) -> None:
    """It is not needed."""
    (folder / INDEX).write_bytes(b"graph")
    assert sealed(folder).files.keys() == REQUIRED_FILES | {INDEX}
    assert read_manifest(folder).files[INDEX].size_bytes == 5


def test_no_manifest_is_an_error(tmp_path: Path) -> None:
    """It says that there is none."""
    with pytest.raises(BundleError, match="cannot be read"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"format": "two"}'])
def test_what_is_no_manifest_is_refused(folder: Path, raw: bytes) -> None:
    """With what is wrong with it."""
    (folder / MANIFEST).write_bytes(raw)
    with pytest.raises(BundleError, match="no manifest"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "changes", [{"item_count": 4}, {"metrics": {"recall": 0.6}}, {"parent": "another"}]
)
def test_a_changed_manifest_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    """Its version no longer names its content."""
    rewrite(folder, **changes)
    with pytest.raises(BundleError, match="its version is"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": FORMAT - 1}, "freshet train"),
        ({"feature_schema": "older"}, "feature schema is 'older'"),
        ({"content_schema": "older"}, "content schema is 'older'"),
        ({"dim": 32}, "vector dimension is 32"),
    ],
)
def test_a_bundle_of_another_freshet_is_refused(
    folder: Path, changes: dict[str, Any], words: str
) -> None:
    """Whole and well signed, and still not what this version serves."""
    resealed(folder, **changes)
    with pytest.raises(BundleError, match=words):
        read_manifest(folder)


def test_files_too_few_or_too_many_are_refused(folder: Path) -> None:
    """By name."""
    files = read_manifest(folder).files
    fewer = {name: file for name, file in files.items() if name != RANKER}
    resealed(folder, files=fewer | {"extra.bin": files[RANKER]})
    with pytest.raises(BundleError, match=r"misses \['ranker.onnx'\] and adds \['extra.bin'\]"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"longer than before", "has 18 bytes, expected 11"),
        (b"ranker.onnX", "differs from its SHA-256"),
    ],
)
def test_a_file_that_is_another_is_named(folder: Path, content: bytes | None, words: str) -> None:
    """Gone, of another size, or of other bytes."""
    manifest = read_manifest(folder)
    (folder / RANKER).unlink()
    if content is not None:
        (folder / RANKER).write_bytes(content)
    with pytest.raises(BundleError, match=f"{RANKER} {words}"):
        verify_files(folder, manifest)
    verify_files(folder, manifest, REQUIRED_FILES - {RANKER})


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("20261122T045100-0a1b2c3d", True),
        ("20261122T045100-0A1B2C3D", False),
        ("20261122T045100-0a1b2c3d/..", False),
        ("20261122T045100-0a1b2c3", False),
        ("20261122T045100-0a1b2c3d\n", False),
        ("", False),
    ],
)
def test_a_version_is_a_name_and_no_path(name: str, is_one: bool) -> None:
    """A registry joins it to its folder."""
    assert is_version(name) is is_one


def test_a_tag_fits_three_bytes_and_is_never_none() -> None:
    """0 stands for no bundle in a packed record."""
    tags = {tag_of(f"20261122T045100-{n:08x}") for n in range(5000)}
    assert min(tags) > 0
    assert max(tags) < 1 << 24
    assert len(tags) > 4990
