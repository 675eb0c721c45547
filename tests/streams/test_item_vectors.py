"""The user fold follows the bundle in use."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.events.partition import item_hashes
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from streams.item_vectors import HashRows, LiveVectors


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
