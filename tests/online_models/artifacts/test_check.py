"""A bundle that is not what its manifest says is refused, and the reason names what was found."""

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from freshet.core.errors import BundleError
from online_models.artifacts import check
from online_models.artifacts.check import (
    check_created,
    check_in_child,
    end_checks,
    judge,
    load_bundle,
)
from online_models.artifacts.checks.budget import Budget
from online_models.artifacts.manifest import (
    ENCODER,
    GOLDEN,
    HASHES,
    INDEX,
    ITEM_IDS,
    MANIFEST,
    RANKER,
    REQUIRED_FILES,
    VECTORS,
    read_manifest,
    seal,
)
from online_models.artifacts.tiny import tiny_items, write_tiny_bundle

Copied = Callable[[], Path]


def seal_again(folder: Path, **changed: object) -> None:
    """Write a manifest that agrees with the damaged files, as a careless publisher would."""
    manifest = read_manifest(folder)
    fields = {
        "created_ts_ms": manifest.created_ts_ms,
        "parent": manifest.parent,
        "item_count": manifest.item_count,
        "golden_tolerance": manifest.golden_tolerance,
        "metrics": manifest.metrics,
    }
    seal(folder, **(fields | changed))


def test_a_whole_bundle_passes(pristine: Path) -> None:
    """Here and in a child process."""
    assert load_bundle(pristine).version == read_manifest(pristine).version
    check_in_child(pristine)


# --- damage that the digests find ---


@pytest.mark.parametrize("name", sorted(REQUIRED_FILES))
def test_a_flipped_bit_is_found(copied: Copied, name: str) -> None:
    """In any file, wherever it is."""
    folder = copied()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} differs from its SHA-256"):
        load_bundle(folder)


@pytest.mark.parametrize("name", sorted(REQUIRED_FILES))
def test_a_truncated_file_is_found(copied: Copied, name: str) -> None:
    """By its size, before anything is read."""
    folder = copied()
    os.truncate(folder / name, (folder / name).stat().st_size - 1)
    with pytest.raises(BundleError, match=rf"{name} has \d+ bytes, expected \d+"):
        load_bundle(folder)


@pytest.mark.parametrize("name", [MANIFEST, *sorted(REQUIRED_FILES)])
def test_a_missing_file_is_found(copied: Copied, name: str) -> None:
    """The manifest too."""
    folder = copied()
    (folder / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1}', b"\xff\xfe", b"[]"])
def test_a_manifest_that_is_none_is_found(copied: Copied, damage: bytes) -> None:
    """Empty, cut, without fields, not text, not an object."""
    folder = copied()
    (folder / MANIFEST).write_bytes(damage)
    with pytest.raises(BundleError, match="its manifest is no manifest"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("format", 1, "format is 1, expected 4.*`freshet train LOG` makes one of this version"),
        ("feature_schema", "another", "feature schema is 'another'"),
        ("content_schema", "another", "content schema is 'another'"),
        ("dim", 32, "vector dimension is 32, expected 64"),
        ("metrics", {"recall_at_20": 1.0}, "version is"),
        ("files", {}, "version is"),
    ],
)
def test_a_changed_manifest_is_found(
    copied: Copied, field: str, value: object, reason: str
) -> None:
    """The version is a digest of it: not even a figure can be made nicer."""
    folder = copied()
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    manifest[field] = value
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BundleError, match=reason if field == "format" else f"{reason}|version is"):
        load_bundle(folder)


# --- damage that was sealed in ---


def test_vectors_of_another_dimension_are_refused(copied: Copied) -> None:
    """They would answer nonsense without an error."""
    folder = copied()
    np.save(folder / VECTORS, np.load(folder / VECTORS)[:, :32])
    seal_again(folder)
    with pytest.raises(BundleError, match=r"vectors.npy is \(300, 32\) float32, expected"):
        load_bundle(folder)


def test_vectors_of_another_type_are_refused(copied: Copied) -> None:
    """Objects could hold code; doubles double the memory."""
    folder = copied()
    np.save(folder / VECTORS, np.load(folder / VECTORS).astype(np.float64))
    seal_again(folder)
    with pytest.raises(BundleError, match="float64, expected"):
        load_bundle(folder)
    np.save(folder / VECTORS, np.array([None] * 300), allow_pickle=True)
    seal_again(folder)
    with pytest.raises(BundleError, match="its vectors cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0])
def test_vectors_that_are_not_of_unit_length_are_refused(copied: Copied, value: float) -> None:
    """Not a number, zero, too long."""
    folder = copied()
    vectors = np.load(folder / VECTORS)
    vectors[3] = value
    np.save(folder / VECTORS, vectors)
    seal_again(folder)
    with pytest.raises(BundleError, match="not of unit length"):
        load_bundle(folder)


def test_a_bundle_without_some_of_its_items_is_refused(copied: Copied) -> None:
    """Ids, hashes and vectors must agree on their number."""
    folder = copied()
    (folder / ITEM_IDS).write_bytes(b'["one"]')
    seal_again(folder)
    with pytest.raises(BundleError, match="has 1 ids, expected 300"):
        load_bundle(folder)
    folder = copied()
    np.save(folder / HASHES, np.load(folder / HASHES)[::-1])
    seal_again(folder)
    with pytest.raises(BundleError, match="not in ascending order"):
        load_bundle(folder)


def test_another_ranker_is_refused(copied: Copied, tmp_path: Path) -> None:
    """The golden vectors belong to the models they were asked of."""
    folder, other = copied(), tmp_path / "other"
    write_tiny_bundle(other, tiny_items(300), seed=1)
    for name, model in ((RANKER, "ranker"), (ENCODER, "encoder")):
        shutil.copy(other / name, folder / name)
        seal_again(folder)
        with pytest.raises(BundleError, match=rf"its {model} is .* off its golden vectors"):
            load_bundle(folder)
        folder = copied()


def test_a_graph_with_other_inputs_is_refused(copied: Copied) -> None:
    """The encoder in the place of the ranker."""
    folder = copied()
    shutil.copy(folder / ENCODER, folder / RANKER)
    seal_again(folder)
    with pytest.raises(BundleError, match="cannot answer its golden questions"):
        load_bundle(folder)


def test_a_ranker_of_other_tasks_is_refused(copied: Copied) -> None:
    """Though its golden answers are its own: serving would take one task for another."""
    folder = copied()
    with np.load(folder / GOLDEN) as arrays:
        golden = dict(arrays)
    golden["probabilities"] = golden["probabilities"][:, 0]
    np.savez(folder / GOLDEN, **golden)
    seal_again(folder)
    with pytest.raises(BundleError, match=r"its ranker answers \(16,\), not \(16, 5\)"):
        load_bundle(folder)


@pytest.mark.parametrize("damage", [b"", b"not a graph"])
def test_a_file_that_is_no_graph_is_refused(copied: Copied, damage: bytes) -> None:
    """Whatever it is."""
    folder = copied()
    (folder / RANKER).write_bytes(damage)
    seal_again(folder)
    with pytest.raises(BundleError, match=r"ranker.onnx (is no ONNX graph|does not load)"):
        load_bundle(folder)


def test_a_graph_that_points_outside_its_file_is_refused(copied: Copied) -> None:
    """Its digest would not cover what it computes with."""
    folder = copied()
    model = onnx.load(folder / RANKER)
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="elsewhere.bin", size_threshold=0
    )
    onnx.save(model, folder / RANKER)
    seal_again(folder)
    with pytest.raises(BundleError, match="keeps data outside its own file"):
        load_bundle(folder)


def test_damaged_golden_vectors_are_refused(copied: Copied) -> None:
    """Without the questions nothing is known of the answers."""
    folder = copied()
    (folder / GOLDEN).write_bytes(b"PK\x03\x04 cut short")
    seal_again(folder)
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        load_bundle(folder)


# --- the child process ---


def test_the_child_tells_its_reason(copied: Copied) -> None:
    """In the same words as a check in this process."""
    folder = copied()
    os.truncate(folder / VECTORS, 100)
    with pytest.raises(BundleError, match=r"vectors.npy has 100 bytes, expected"):
        check_in_child(folder)


def test_a_corrupt_index_ends_the_child_and_not_us(tmp_path: Path) -> None:
    """Reading such a file may crash hnswlib; whatever happens to the child is a refusal."""
    folder = tmp_path / "graph"
    write_tiny_bundle(folder, tiny_items(300), exact_below=100)
    content = bytearray((folder / INDEX).read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    (folder / INDEX).write_bytes(content)
    seal_again(folder)
    with pytest.raises(BundleError):
        check_in_child(folder)


def test_a_killed_child_is_a_refusal(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the kernel when memory runs out."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -9 $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(check.sys, "executable", str(python))
    with pytest.raises(BundleError, match="its check was ended by SIGKILL"):
        check_in_child(pristine)


def test_a_child_that_does_not_end_is_a_refusal(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is not left behind."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    python.chmod(0o755)
    monkeypatch.setattr(check.sys, "executable", str(python))
    with pytest.raises(BundleError, match="took longer than"):
        check_in_child(pristine, Budget(check_s=0.2))


def test_a_child_that_fails_otherwise_is_a_refusal(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of what it said is in the reason."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no memory >&2\nexit 7\n")
    python.chmod(0o755)
    monkeypatch.setattr(check.sys, "executable", str(python))
    with pytest.raises(BundleError, match=r"ended with code 7 \(no memory\)"):
        check_in_child(pristine)


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (None, ""),
        (BundleError("x", "it is \ud800 wrong"), r"it is \ud800 wrong"),
        (MemoryError(), "it needs more than 7 MiB of memory"),
        (RuntimeError("std::bad_alloc"), "it needs more than 7 MiB of memory"),
        (RecursionError("too deep"), "its check failed (RecursionError: too deep)"),
        (OverflowError("too large"), "its check failed (OverflowError: too large)"),
    ],
)
def test_whatever_is_raised_is_a_reason(raised: Exception | None, words: str) -> None:
    """In words that any terminal can show."""

    def check_it() -> None:
        if raised:
            raise raised

    said: list[str] = []
    assert judge(check_it, Budget(memory_mib=7), said.append) == (raised is not None)
    assert "".join(said).startswith(words)
    assert "".join(said).isprintable() or said[0].endswith("\n")


def test_a_bundle_of_tomorrow_passes_and_of_the_day_after_does_not(pristine: Path) -> None:
    """Clocks differ; but it would be the newest for ever."""
    manifest = read_manifest(pristine)
    day_ms = 86_400_000
    check_created(pristine, manifest, manifest.created_ts_ms - day_ms)
    with pytest.raises(BundleError, match="more than a day after now"):
        check_created(pristine, manifest, manifest.created_ts_ms - day_ms - 1)


def test_what_is_there_without_the_manifest_is_no_reason_for_a_child(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is still copied is refused at once."""
    monkeypatch.setattr(check.subprocess, "Popen", None)
    folder = copied()
    (folder / VECTORS).unlink()
    with pytest.raises(BundleError, match=f"{VECTORS} cannot be read"):
        check_in_child(folder)


def test_the_child_measures_less_than_a_tick(pristine: Path) -> None:
    """Though its processor time is limited, which makes the clock of the process a coarse one."""
    with pytest.raises(BundleError, match=r"it takes 0\.[1-9].* ms of processor time for a list"):
        check_in_child(pristine, Budget(list_ms=0.001))


def test_a_check_ends_with_the_process_that_asked(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops does not wait for two minutes."""
    started = threading.Event()

    class Noticed(set[object]):
        def add(self, child: object) -> None:
            super().add(child)
            started.set()

    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    python.chmod(0o755)
    monkeypatch.setattr(check.sys, "executable", str(python))
    monkeypatch.setattr(check, "_running", Noticed())
    with ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(check_in_child, pristine)
        assert started.wait(30)
        end_checks()
        with pytest.raises(BundleError, match="its check was ended by SIGKILL"):
            verdict.result(30)
    assert not check._running


def test_a_child_that_computes_too_long_is_a_refusal(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its processor time, so that a busy machine refuses nothing."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -XCPU $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(check.sys, "executable", str(python))
    with pytest.raises(BundleError, match=r"longer than 120 s of processor time \(setting `model_"):
        check_in_child(pristine)
