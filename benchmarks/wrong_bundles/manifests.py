"""Manifests that are none, or say what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.wrong_bundles.case import Case, edit_manifest, reseal
from online_models.artifacts.manifest import (
    MANIFEST,
    RANKER,
    BundleFile,
    read_manifest,
    version_of,
)

Damage = Callable[[Path, Path], object]
_NO_MANIFEST = "its manifest is no manifest"
_YEAR_3000_MS = 32_503_680_000_000


def cases() -> Iterator[Case]:
    """Yield manifests that are not JSON, then fields of the wrong value, then wrong and sealed."""
    for name, content in {
        "empty": b"",
        "half": b'{"format": 3, "version"',
        "binary": bytes(range(256)),
        "a list": b"[]",
        "nested deep": b'{"metrics": ' + b"[" * 100_000,
        "nested and closed": b'{"metrics": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "a number of 5000 digits": b'{"created_ts_ms": ' + b"9" * 5000 + b"}",
    }.items():
        yield Case(f"manifest {name}", _write(content), _NO_MANIFEST)
    for field, value, words in (
        ("created_ts_ms", 10**17, "created_ts_ms is"),
        ("created_ts_ms", -(10**14), "created_ts_ms is"),
        ("created_ts_ms", _YEAR_3000_MS, "created_ts_ms is"),
        ("created_ts_ms", 10**18, "created_ts_ms is"),
        ("created_ts_ms", -1, "created_ts_ms is"),
        ("created_ts_ms", "yesterday", _NO_MANIFEST),
        ("format", 2, "its format is 2"),
        ("format", 10**18, "its format is"),
        ("dim", -64, "its version is|dimension"),
        ("item_count", 10**30, f"{_NO_MANIFEST}|its version is"),
        ("version", "../../etc", "its version is"),
        ("version", "\u0662\u0660261122T045100-0a1b2c3d", "its version is"),
        ("files", {}, "its version is"),
        ("metrics", {"recall": 1.0}, "its version is"),
        ("feature_schema", "another", "its version is|feature schema"),
        ("extra", True, _NO_MANIFEST),
    ):
        shown = str(value)[:24]
        yield Case(f"manifest {field} {shown!a}", _edit(field, value), words)
    for changes, words in (
        ({"created_ts_ms": 4_070_908_800_000}, "more than a day after now"),  # the year 2099
        ({"item_count": -1}, "it has -1 items"),
        ({"item_count": 0}, "it has 0 items"),
        ({"item_count": 599}, "expected .599"),
        ({"item_count": 10**18}, "items, expected 1 to"),
        ({"golden_tolerance": 1e9}, "golden tolerance"),
        ({"golden_tolerance": -1.0}, "golden tolerance"),
        ({"parent": "../../etc/passwd"}, "its parent is"),
        ({"metrics": _nested(200)}, "nested deeper"),
    ):
        name, wrong = next(iter(changes.items()))
        by_clock = "after now" in words
        shown = f"sealed {name} {str(wrong)[:24]}"
        yield Case(shown, _sealed(changes), words, in_child=by_clock)
    for name, files in {
        "a path out": {"../../../etc/passwd": 1},
        "another case": {"Ranker.onnx": 1},
        "look-alike letters": {"r\u0430nker.onnx": 1},
        "control characters": {"\x1b[2J": 1},
    }.items():
        yield Case(f"files with {name}", _with_files(files), "misses .* and adds|its version is")
    for name, size in {"negative": -1, "huge": 10**15}.items():
        yield Case(f"a size that is {name}", _with_size(size), f"its manifest gives {RANKER}")


def _nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"deep": value}


def _write(content: bytes) -> Damage:
    return lambda folder, _: (folder / MANIFEST).write_bytes(content)


def _edit(field: str, value: Any) -> Damage:
    def damage(folder: Path, _: Path) -> None:
        path = folder / MANIFEST
        if isinstance(value, int) and abs(value) >= 1 << 63:  # more than our writer writes
            text = path.read_text().replace('"item_count": 600', f'"item_count": {value}')
            path.write_text(text)
        else:
            edit_manifest(folder, **{field: value})

    return damage


def _sealed(changes: dict[str, Any]) -> Damage:
    return lambda folder, _: reseal(folder, **changes)


def _with_files(names: dict[str, int]) -> Damage:
    def damage(folder: Path, _: Path) -> None:
        found = msgspec.json.decode((folder / MANIFEST).read_bytes())["files"]
        edit_manifest(folder, files=found | dict.fromkeys(names, found[RANKER]))

    return damage


def _with_size(size: int) -> Damage:
    """Return a damage that gives a file another size, under a version that fits."""

    def damage(folder: Path, _: Path) -> None:
        known = read_manifest(folder)
        files = known.files | {RANKER: BundleFile(size, known.files[RANKER].sha256)}
        version = version_of(msgspec.structs.replace(known, files=files, version=""))
        edit_manifest(folder, files=msgspec.to_builtins(files), version=version)

    return damage
