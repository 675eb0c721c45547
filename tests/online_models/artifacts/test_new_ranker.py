"""A bundle with another ranker: all else is the same file, and all checks hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.check import load_bundle
from online_models.artifacts.differences import differences
from online_models.artifacts.manifest import GOLDEN, MANIFEST, RANKER, VECTORS
from online_models.artifacts.new_ranker import write_with_ranker
from online_models.artifacts.registry import Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items, write_tiny_bundle

ITEMS = tiny_items(30)


@pytest.fixture
def other_ranker(tmp_path: Path) -> bytes:
    write_tiny_bundle(tmp_path / "other", ITEMS, seed=9)
    return (tmp_path / "other" / RANKER).read_bytes()


def test_the_ranker_alone_is_another(tmp_path: Path, other_ranker: bytes) -> None:
    """Scores are the other's, vectors are linked, and what was measured before stays known."""
    registry = Registry(tmp_path / "models", checker=load_bundle)
    base = publish_tiny_bundle(registry.models_dir, ITEMS)
    with registry.staging() as folder:
        made = write_with_ranker(
            folder, registry.path(base), other_ranker, metrics={"follow": {"examples": 5}},
            created_ts_ms=1_763_900_000_000,
        )  # fmt: skip
        assert registry.publish(folder) == made.version
    assert made.parent == base
    assert made.metrics == {"note": "random weights", "follow": {"examples": 5}}
    new, old = registry.path(made.version), registry.path(base)
    assert (new / VECTORS).samefile(old / VECTORS)
    assert differences(old, new).files == [GOLDEN, RANKER]
    assert differences(old, new).score_difference > 0
    assert differences(tmp_path / "other", new).score_difference == 0
    registry.load(base)  # whole as ever


def test_a_damaged_ranker_is_refused(tmp_path: Path) -> None:
    """Before it is anywhere near the registry."""
    write_tiny_bundle(tmp_path / "base", ITEMS)
    (tmp_path / "new").mkdir()
    with pytest.raises(BundleError, match=r"ranker\.onnx is no ONNX graph"):
        write_with_ranker(
            tmp_path / "new", tmp_path / "base", b"cut", metrics={}, created_ts_ms=1_763_900_000_000
        )


def test_old_versions_are_removed_unless_they_are_needed(tmp_path: Path) -> None:
    """Neither the one in use nor the one that a rollback needs; links keep the others whole."""
    versions = [publish_tiny_bundle(tmp_path, ITEMS, seed=seed) for seed in range(3)]
    registry = Registry(tmp_path, checker=load_bundle)
    for needed in versions[1:]:
        with pytest.raises(BundleError, match="in use"):
            registry.remove(needed)
    registry.remove(versions[0])
    assert sorted(registry.versions()) == sorted(versions[1:])
    assert registry.rollback() == versions[1]
    with pytest.raises(BundleError, match="no such version"):
        registry.remove(versions[0])
    assert (registry.path(versions[1]) / MANIFEST).exists()
