"""The user fold follows the bundle in use."""

from pathlib import Path

from freshet.core.events.partition import item_hashes
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
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
