"""The user fold follows the bundle in use."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from online_models.artifacts.vectors import ItemVectors
from streams.item_vectors import BundleVectors, HashRows, LiveVectors


def test_without_a_bundle_nothing_has_a_vector(tmp_path: Path) -> None:
    """Tag 0 marks an embedding as none."""
    vectors = LiveVectors(tmp_path)
    vectors.refresh()
    assert vectors.current.tag == 0
    assert not vectors.current.lookup(item_hashes(["item-1"])).any()


def test_a_new_bundle_is_taken_up(tmp_path: Path) -> None:
    """Its vectors and its tag, together; an item that it does not know is zero."""
    vectors = LiveVectors(tmp_path)
    publish_tiny_bundle(tmp_path, tiny_items(3), seed=1)
    vectors.refresh()
    first = vectors.current
    known, unknown = first.lookup(item_hashes(["item-1", "nobody"]))
    assert np.linalg.norm(known) > 0.99
    assert not unknown.any()
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


def bundle_vectors(hashes: list[int]) -> tuple[np.ndarray, BundleVectors]:
    """Vectors of a bundle with items of these hashes, ascending."""
    vectors = np.random.default_rng(1).normal(size=(len(hashes), 64)).astype(np.float32)
    return vectors, BundleVectors(ItemVectors(1, np.array(hashes, np.uint32), vectors))


def test_vectors_come_in_the_order_that_is_asked() -> None:
    """One asked for twice comes twice."""
    vectors, bundle = bundle_vectors([7, 2**20, 2**31, 2**32 - 9])
    found = bundle.lookup(np.array([2**31, 7, 2**32 - 9, 2**31], np.uint32))
    assert np.array_equal(found, vectors[[2, 0, 3, 2]])


def test_what_is_unknown_is_zero() -> None:
    """Below, between and above the known hashes."""
    vectors, bundle = bundle_vectors([7, 2**31, 2**32 - 9])
    found = bundle.lookup(np.array([0, 2**31, 2**32 - 1, 2**31 + 1], np.uint32))
    assert not found[[0, 2, 3]].any()
    assert np.array_equal(found[1], vectors[1])


def test_nothing_is_found_among_nothing() -> None:
    """No items, or no question."""
    _, empty = bundle_vectors([])
    assert not empty.lookup(np.array([3], np.uint32)).any()
    assert empty.lookup(np.empty(0, np.uint32)).shape == (0, 64)


hashes = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 5), max_size=60)


@given(hashes, hashes)
def test_rows_are_those_that_bisection_finds(known: list[int], asked: list[int]) -> None:
    """However unevenly the hashes lie, and n for what is not there."""
    table = np.unique(np.array(known, np.uint32))
    wanted = np.array(asked + known, np.uint32)
    rows = np.searchsorted(table, wanted)
    slow = [
        row if row < len(table) and table[row] == each else len(table)
        for row, each in zip(rows.tolist(), wanted.tolist(), strict=True)
    ]
    assert HashRows(table).find(wanted).tolist() == slow
