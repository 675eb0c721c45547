"""A bundle keeps its promises, whatever it is asked."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import Item
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.tiny import tiny_items
from online_models.features import FEATURE_SCHEMA, FEATURES
from online_models.tasks import COLUMNS, SLATE


@pytest.fixture(scope="module")
def bundle(pristine: Path) -> Bundle:
    return open_bundle(pristine)


def a_history(used: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (1, HISTORY_LENGTH)
    vectors = rng.normal(size=(*shape, EMBEDDING_DIM)).astype(np.float32)
    types = rng.integers(0, 10, shape)
    ages_s = np.sort(rng.uniform(0, 1e5, shape).astype(np.float32), axis=1)
    return vectors, types, ages_s, np.arange(HISTORY_LENGTH)[None] < used


def test_it_says_what_it_is(bundle: Bundle) -> None:
    """Version, tag, schema, items in the order of their hashes."""
    assert bundle.tag == zlib.crc32(bundle.version.encode()) >> 8
    assert bundle.feature_schema == FEATURE_SCHEMA
    assert sorted(bundle.item_ids) == sorted(item.item_id for item in tiny_items(300))
    assert np.array_equal(item_hashes(bundle.item_ids), bundle.items.hashes)
    assert np.all(np.diff(bundle.items.hashes.astype(np.int64)) >= 0)
    np.testing.assert_allclose(np.linalg.norm(bundle.item_vectors, axis=1), 1, atol=1e-5)


def test_a_new_item_gets_a_vector(bundle: Bundle) -> None:
    """From its content alone; also among thousands, also without any content."""
    known = tiny_items(7)[6]
    alike = Item(item_id="never-seen", title=known.title, categories=known.categories)
    vector, bare = bundle.embed_items([alike, Item(item_id="bare")])
    row = bundle.item_ids.index(known.item_id)
    assert vector @ bundle.item_vectors[row] > 0.9
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(bare).all()
    many = bundle.embed_items([known] * 5_000)
    assert many.shape == (5_000, EMBEDDING_DIM)
    assert bundle.embed_items([]).shape == (0, EMBEDDING_DIM)


@pytest.mark.parametrize("used", [0, 1, HISTORY_LENGTH])
def test_any_history_is_encoded(bundle: Bundle, used: int) -> None:
    """No event, one, as many as are kept: a unit vector, or zero."""
    user = bundle.encode(*a_history(used))
    assert user.shape == (1, EMBEDDING_DIM)
    norm = float(np.linalg.norm(user))
    assert norm == pytest.approx(1, abs=1e-5) or norm == 0


def test_what_is_masked_does_not_count(bundle: Bundle) -> None:
    """Garbage behind the end of a history changes nothing."""
    vectors, types, ages_s, mask = a_history(5)
    expected = bundle.encode(vectors, types, ages_s, mask)
    vectors[0, 5:] = 9
    np.testing.assert_allclose(bundle.encode(vectors, types, ages_s, mask), expected, atol=1e-6)


def test_probabilities_are_such_and_finite(bundle: Bundle) -> None:
    """Also for no candidates, and for features that are not numbers."""
    features = np.random.default_rng(0).normal(0, 3, (50, len(FEATURES))).astype(np.float32)
    features[0] = np.nan
    found = bundle.probabilities(features)
    assert found.shape == (50, len(COLUMNS))
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[:, 1:SLATE] <= found[:, :1]).all()  # no dwell and no purchase without a click
    assert bundle.probabilities(features[:0]).shape == (0, len(COLUMNS))


def test_the_nearest_item_to_an_item_is_itself(bundle: Bundle) -> None:
    """And the order is by cosine, best first."""
    rows, scores = bundle.nearest(bundle.item_vectors[17], 5)
    assert rows[0] == 17
    assert scores[0] == pytest.approx(1, abs=1e-5)
    cosines = bundle.item_vectors @ bundle.item_vectors[17]
    assert rows.tolist() == np.argsort(-cosines, kind="stable")[:5].tolist()
    assert np.all(np.diff(scores) <= 0)
