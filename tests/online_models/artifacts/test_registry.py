"""The registry: a version appears whole, the pointer moves at once, a refusal changes nothing."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.check import load_bundle
from online_models.artifacts.manifest import RANKER, read_manifest
from online_models.artifacts.registry import CURRENT, Registry
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items, write_tiny_bundle

Copied = Callable[[], Path]
ITEMS = tiny_items(40)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", checker=load_bundle)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_an_empty_registry_has_nothing(registry: Registry) -> None:
    """And says so, instead of failing."""
    assert registry.versions() == []
    assert registry.current() is None
    assert registry.previous() is None
    with pytest.raises(BundleError, match="no version was in use"):
        registry.rollback()


def test_what_is_published_is_in_use(registry: Registry) -> None:
    """From a staging folder, which becomes the version."""
    with registry.staging() as folder:
        write_tiny_bundle(folder, ITEMS)
        version = registry.publish(folder)
    assert registry.versions() == [version] == [registry.current()]
    assert registry.load(version).item_ids
    assert [path.name for path in registry.models_dir.iterdir() if path.is_dir()] == [version]


def test_a_place_that_another_took_is_not_taken(registry: Registry) -> None:
    """What was to replace one version does not replace another, and is not kept."""
    first = publish_tiny_bundle(registry.models_dir, ITEMS)
    with registry.staging() as folder:
        write_tiny_bundle(folder, ITEMS, seed=1)
        second = registry.publish(folder, instead_of=first)
    assert registry.current() == second
    with registry.staging() as folder:
        write_tiny_bundle(folder, ITEMS, seed=2)
        with pytest.raises(BundleError, match=f"{second} is in use, expected {first}"):
            registry.publish(folder, instead_of=first)
    assert (registry.current(), registry.previous()) == (second, first)
    assert registry.versions() == sorted([first, second])


def test_a_folder_from_elsewhere_is_copied(registry: Registry, pristine: Path) -> None:
    """It stays as it was; only what the manifest names is taken."""
    before = snapshot(pristine)
    version = registry.publish(pristine)
    assert snapshot(pristine) == before
    assert snapshot(registry.path(version)) == before
    assert registry.publish(pristine) == version
    assert registry.versions() == [version]


def test_a_refused_bundle_changes_nothing(registry: Registry, copied: Copied) -> None:
    """The current one is untouched, and nothing is left lying about."""
    publish_tiny_bundle(registry.models_dir, ITEMS)
    before = snapshot(registry.models_dir)
    damaged = copied()
    (damaged / RANKER).write_bytes(b"")
    with pytest.raises(BundleError):
        registry.publish(damaged)
    assert snapshot(registry.models_dir) == before


def test_the_check_is_done_in_a_child(tmp_path: Path, copied: Copied) -> None:
    """Unless someone hands in another checker."""
    registry = Registry(tmp_path / "models")
    version = registry.publish(copied())
    registry.check(version)
    (registry.path(version) / RANKER).write_bytes(b"")
    with pytest.raises(BundleError, match=r"ranker\.onnx has 0 bytes"):
        registry.check(version)


def test_versions_are_used_and_rolled_back(registry: Registry) -> None:
    """Back to what was in use before, not to what is older."""
    first, second, third = (
        publish_tiny_bundle(registry.models_dir, ITEMS, seed=seed) for seed in range(3)
    )
    assert registry.current() == third
    registry.use(first)
    assert (registry.current(), registry.previous()) == (first, third)
    assert registry.rollback() == third
    assert registry.rollback() == second
    with pytest.raises(BundleError, match="no version was in use before"):
        registry.rollback()
    assert registry.current() == second


def test_the_version_in_use_and_the_one_before_stay(registry: Registry) -> None:
    """What could be served next is never removed; what is older may be."""
    first, second, third = (
        publish_tiny_bundle(registry.models_dir, ITEMS, seed=seed) for seed in range(3)
    )
    for version in (third, second):
        with pytest.raises(BundleError, match="in use, or next to be gone back to"):
            registry.remove(version)
        assert registry.path(version).is_dir()
    folder = registry.path(first)
    registry.remove(first)
    assert not folder.exists()
    assert (registry.current(), registry.previous()) == (third, second)


def test_a_damaged_version_is_not_put_in_use(registry: Registry) -> None:
    """Neither by name nor by rolling back; the pointer stays."""
    first = publish_tiny_bundle(registry.models_dir, ITEMS, seed=1)
    second = publish_tiny_bundle(registry.models_dir, ITEMS, seed=2)
    (registry.path(first) / RANKER).write_bytes(b"")
    for attempt in (lambda: registry.use(first), registry.rollback):
        with pytest.raises(BundleError, match=r"ranker\.onnx"):
            attempt()
        assert registry.current() == second


@pytest.mark.parametrize("version", ["", ".", "..", "../../etc", "20261122T045100-00000000"])
def test_a_version_that_is_none_is_refused(registry: Registry, version: str) -> None:
    """Also one that is a path."""
    with pytest.raises(BundleError, match="there is no such version"):
        registry.load(version)


def test_a_folder_under_another_name_is_refused(registry: Registry) -> None:
    """The version names the content."""
    version = publish_tiny_bundle(registry.models_dir, ITEMS)
    other = "20990101T000000-00000000"
    registry.path(version).rename(registry.models_dir / other)
    with pytest.raises(BundleError, match=f"its manifest names version {version}"):
        registry.load(other)


@pytest.mark.parametrize("step", ["_take_in", "_point_at"])
def test_an_interrupted_publish_leaves_the_current_version_valid(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Wherever the process dies: the pointer still names a whole bundle."""
    first = publish_tiny_bundle(registry.models_dir, ITEMS, seed=1)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, step, die)
    with pytest.raises(KeyboardInterrupt):
        publish_tiny_bundle(registry.models_dir, ITEMS, seed=2)
    monkeypatch.undo()
    assert registry.current() == first
    assert registry.load(first).version == first
    again = publish_tiny_bundle(registry.models_dir, ITEMS, seed=2)
    assert registry.current() == again


def test_a_half_written_pointer_is_never_read(registry: Registry) -> None:
    """It is written beside and renamed; what is no list of versions is an error, not a guess."""
    version = publish_tiny_bundle(registry.models_dir, ITEMS)
    (registry.models_dir / f".{CURRENT}.1").write_text("2026")
    assert registry.current() == version
    (registry.models_dir / CURRENT).write_text("2026")
    with pytest.raises(BundleError, match="no list of versions"):
        registry.current()


def test_the_same_content_has_the_same_version(tmp_path: Path) -> None:
    """And other content has another."""
    same = [write_tiny_bundle(tmp_path / str(n), ITEMS).version for n in range(2)]
    other = write_tiny_bundle(tmp_path / "other", ITEMS, seed=1).version
    assert same[0] == same[1] != other
    assert read_manifest(tmp_path / "other").version == other


def test_what_passed_is_not_checked_again(tmp_path: Path, pristine: Path) -> None:
    """But its digests are compared, and another bundle is checked."""
    checked: list[Path] = []
    registry = Registry(tmp_path / "models", checker=checked.append)
    version = registry.publish(pristine)
    registry.check(version)
    Registry(tmp_path / "models", checker=checked.append).check(version)
    assert len(checked) == 1
    (registry.path(version) / RANKER).write_bytes(b"")
    with pytest.raises(BundleError, match=r"ranker\.onnx has 0 bytes"):
        registry.check(version)


def test_a_damaged_version_is_mended_by_publishing_it_again(
    registry: Registry, pristine: Path
) -> None:
    """Its place is taken by the whole one."""
    version = registry.publish(pristine)
    before = snapshot(registry.models_dir)
    (registry.path(version) / RANKER).write_bytes(b"")
    assert registry.publish(pristine) == version
    assert snapshot(registry.models_dir) == before


@pytest.mark.parametrize("place", ["rename", "write_bytes"])
def test_without_space_nothing_changes(
    registry: Registry, pristine: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A sentence, the state of before, and nothing left."""
    publish_tiny_bundle(registry.models_dir, ITEMS)
    before = snapshot(registry.models_dir)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, place, fail)
    with pytest.raises(BundleError, match="there is no space left"):
        registry.publish(pristine)
    monkeypatch.undo()
    assert snapshot(registry.models_dir) == before
    assert not list(registry.models_dir.glob(".staging-*"))


def test_a_version_that_is_a_link_is_refused(registry: Registry, pristine: Path) -> None:
    """What it leads to may change at any time."""
    version = read_manifest(pristine).version
    registry.models_dir.mkdir()
    (registry.models_dir / version).symlink_to(pristine)
    with pytest.raises(BundleError, match="is a symbolic link"):
        registry.load(version)
