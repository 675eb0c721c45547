"""An index is of the vectors beside it, or it is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.checks.index import check_index
from online_models.artifacts.item_index import ExactIndex, GraphIndex, build_graph
from online_models.artifacts.tiny import tiny_items, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a graph."""
    folder = tmp_path_factory.mktemp("graph") / "bundle"
    write_tiny_bundle(folder, tiny_items(300), exact_below=100)
    return open_bundle(folder)


def with_graph(bundle: Bundle, path: Path, vectors: np.ndarray) -> Bundle:
    """The bundle with an index over other vectors."""
    build_graph(path, vectors, threads=1)
    return replace(bundle, index=GraphIndex(path, bundle.item_vectors))


def test_good_indices_pass(bundle: Bundle, tmp_path: Path) -> None:
    """The graph, and the exact search."""
    check_index(tmp_path, bundle)
    check_index(tmp_path, replace(bundle, index=ExactIndex(bundle.item_vectors)))


def test_an_index_over_other_vectors_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Also where two of them alone are exchanged."""
    exchanged = bundle.item_vectors.copy()
    exchanged[[7, 200]] = exchanged[[200, 7]]
    for name, vectors in (("negative", -bundle.item_vectors), ("exchanged", exchanged)):
        with pytest.raises(BundleError, match="was built over other vectors"):
            check_index(tmp_path, with_graph(bundle, tmp_path / name, vectors))


def test_an_index_of_other_rows_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that the bundle does not have would be read behind its vectors."""
    labels = np.arange(1, 301)
    monkeypatch.setattr(GraphIndex, "labels", property(lambda _: labels))
    with pytest.raises(BundleError, match="holds other rows than 0 to 299"):
        check_index(tmp_path, bundle)


def test_an_index_that_finds_nothing_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an item by itself, nor what is near to a session, nor in order."""
    nothing = np.zeros(0, np.int64), np.zeros(0, np.float32)
    monkeypatch.setattr(GraphIndex, "nearest", lambda *_: nothing)
    with pytest.raises(BundleError, match="finds 0% of the items by their own vectors"):
        check_index(tmp_path, bundle)
    monkeypatch.setattr(ExactIndex, "nearest", lambda self, vector, k: reversed_of(bundle, vector))
    with pytest.raises(BundleError, match="does not answer the nearest items first"):
        check_index(tmp_path, replace(bundle, index=ExactIndex(bundle.item_vectors)))


def reversed_of(bundle: Bundle, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = bundle.item_vectors @ vector
    rows = np.argsort(scores)
    return rows, scores[rows]
