"""The user fold follows the bundle in use."""

import os
from pathlib import Path

import pytest

from freshet.core.events.partition import item_hashes
from online_models.artifacts import check
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from streams import item_vectors as module
from streams.item_vectors import NO_VECTORS, LiveVectors
from streams.user_embedding import row_of


def test_without_a_bundle_nothing_has_a_vector(tmp_path: Path) -> None:
    """Tag 0 marks an embedding as none."""
    vectors = LiveVectors(tmp_path)
    vectors.refresh()
    assert vectors.current is NO_VECTORS
    assert NO_VECTORS.tag == 0
    assert row_of(7, *NO_VECTORS[1:4]) == -1


def test_a_new_bundle_is_taken_up(tmp_path: Path) -> None:
    """Its vectors and its tag, together."""
    vectors = LiveVectors(tmp_path)
    publish_tiny_bundle(tmp_path, tiny_items(3), seed=1)
    vectors.refresh()
    first = vectors.current
    known, unknown = item_hashes(["item-1", "nobody"])
    assert row_of(known, *first[1:4]) in range(3)
    assert row_of(unknown, *first[1:4]) == -1
    publish_tiny_bundle(tmp_path, tiny_items(3), seed=2)
    vectors.refresh()
    assert vectors.current.tag not in {0, first.tag}


def test_a_broken_bundle_leaves_the_old_vectors(tmp_path: Path) -> None:
    """Refused once, and the fold goes on."""
    vectors = LiveVectors(tmp_path)
    publish_tiny_bundle(tmp_path, tiny_items(3), seed=1)
    vectors.refresh()
    before = vectors.current
    version = publish_tiny_bundle(tmp_path, tiny_items(3), seed=2)
    for file in (tmp_path / version).glob("vectors*"):
        file.chmod(0o644)
        file.write_bytes(b"broken")
    vectors.refresh()
    assert vectors.current is before


def a_worker(models: Path) -> LiveVectors:
    """Follows a registry in which a bundle is in use."""
    vectors = LiveVectors(models)
    publish_tiny_bundle(models, tiny_items(3), seed=1)
    vectors.refresh()
    assert vectors.current is not NO_VECTORS
    return vectors


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, Path.touch, None])
def test_a_damaged_pointer_leaves_the_old_vectors(tmp_path: Path, make: object) -> None:
    """A FIFO, a folder, nothing in it, or bytes that are no text; a start finds the same."""
    vectors = a_worker(tmp_path)
    before = vectors.current
    (tmp_path / "CURRENT").unlink()
    if make:
        make(tmp_path / "CURRENT")  # type: ignore[operator]
    else:
        (tmp_path / "CURRENT").write_bytes(b"\xff\xfe 7")
    vectors.refresh()
    assert vectors.current is before
    again = LiveVectors(tmp_path)
    again.refresh()
    assert again.current.tag == before.tag


def test_a_bundle_that_the_server_refuses_is_refused(tmp_path: Path) -> None:
    """Though its vectors are whole: a user's vector and the index are of one bundle."""
    vectors = a_worker(tmp_path)
    before = vectors.current
    version = publish_tiny_bundle(tmp_path, tiny_items(3), seed=2)
    (tmp_path / version / "ranker.onnx").write_bytes(b"")
    vectors.refresh()
    assert vectors.current is before


async def test_it_follows_aside_and_survives_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised, the vectors stay; the next bundle is taken."""
    vectors = a_worker(tmp_path)
    before = vectors.current
    publish_tiny_bundle(tmp_path, tiny_items(3), seed=2)
    turns = 0

    class EndedError(Exception):
        pass

    async def turn(_: float) -> None:
        nonlocal turns
        turns += 1
        if turns == 2:
            assert vectors.current is before
            monkeypatch.undo()
            monkeypatch.setattr(module.asyncio, "sleep", turn)
            publish_tiny_bundle(tmp_path, tiny_items(3), seed=3)
        if turns == 3:
            raise EndedError

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module.asyncio, "sleep", turn)
    monkeypatch.setattr(module.ItemVectors, "load", fail)
    with pytest.raises(EndedError):
        await vectors.follow()
    assert vectors.current.tag not in {0, before.tag}


def test_a_start_waits_for_no_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passed before is loaded at once; what did not is left to those who follow."""
    version = publish_tiny_bundle(tmp_path, tiny_items(3), seed=1)
    vectors = LiveVectors(tmp_path)
    vectors.start()
    assert vectors.current is not NO_VECTORS
    (tmp_path / f".checked-{version}").unlink()
    monkeypatch.setattr(check.subprocess, "Popen", None)
    vectors = LiveVectors(tmp_path)
    vectors.start()
    assert vectors.current is NO_VECTORS


@pytest.mark.parametrize("folder", ["none", "file"])
def test_a_start_without_bundles_has_no_vectors(tmp_path: Path, folder: str) -> None:
    """Neither without a folder nor where it is none."""
    (tmp_path / "file").touch()
    vectors = LiveVectors(tmp_path / folder)
    vectors.start()
    assert vectors.current is NO_VECTORS
