"""A trial bundle answers as the published one of the same models will."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from freshet.core.events.schema import EVENT_TYPES, Item
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.write import write_bundle
from online_models.features import FEATURE_SCHEMA, FEATURES
from online_models.tasks import COLUMNS
from online_models.training.calibration import Calibration
from online_models.training.encoder import EncoderModel
from online_models.training.export import export_encoder, export_item_tower, export_ranker
from online_models.training.log import TrainingLog
from online_models.training.networks import (
    CalibratedRanker,
    ContentTower,
    HistoryEncoder,
    Ranker,
)
from online_models.training.slate_head import SlateHead
from online_models.training.trial import trial_bundle

pytestmark = pytest.mark.training

TOLERANCE = 1e-4
"""What the export allows between a network and its graph."""

CALIBRATION = Calibration(torch.tensor([0.8, 1.1, 0.6, 0.9]), torch.tensor([-4.0, -1.0, 0.5, -2.0]))


@pytest.fixture(scope="module")
def log(random_log: Callable[..., TrainingLog]) -> TrainingLog:
    return random_log(0)


@pytest.fixture
def model(log: TrainingLog) -> EncoderModel:
    torch.manual_seed(0)
    model = EncoderModel.fresh(log)
    model.known[::2] = True
    return model


def some_ranker() -> CalibratedRanker:
    torch.manual_seed(1)
    n = len(FEATURES)
    ranker = Ranker(np.zeros(n, np.float32), np.ones(n, np.float32))
    for head in (ranker.last.weight, ranker.beside_click):
        torch.nn.init.normal_(head)
    return CalibratedRanker(ranker, CALIBRATION)


def some_head() -> SlateHead:
    torch.manual_seed(2)
    n = len(FEATURES)
    head = SlateHead(np.zeros(n, np.float32), np.ones(n, np.float32))
    torch.nn.init.normal_(head.layers[-1].weight)
    return head


@pytest.fixture
def pair(log: TrainingLog, model: EncoderModel, tmp_path: Path) -> tuple[Bundle, Bundle]:
    """The trial bundle, and the published one."""
    ranker, head = some_ranker(), some_head()
    everything = np.arange(len(log.items))
    write_bundle(
        tmp_path,
        items=log.items,
        vectors=model.item_vectors(),
        ranker=export_ranker(ranker, head),
        encoder=export_encoder(HistoryEncoder(model.encoder)),
        item_tower=export_item_tower(ContentTower(model.tower)),
        metrics={},
        created_ts_ms=0,
    )
    return trial_bundle(log, everything, model, ranker, head), open_bundle(tmp_path)


def test_it_answers_as_the_published_bundle(pair: tuple[Bundle, Bundle]) -> None:
    """Scores, users with and without a history, new items, nearest items."""
    trial, published = pair
    rng = np.random.default_rng(2)
    assert trial.item_ids == published.item_ids
    np.testing.assert_array_equal(trial.items.hashes, published.items.hashes)
    np.testing.assert_allclose(trial.item_vectors, published.item_vectors, atol=TOLERANCE)
    features = rng.normal(0, 2, (40, len(FEATURES))).astype(np.float32)
    for rows in (40, 1, 0):
        scores = trial.probabilities(features[:rows])
        expected = published.probabilities(features[:rows])
        assert scores.shape == (rows, len(COLUMNS))
        np.testing.assert_allclose(scores, expected, atol=TOLERANCE)
    shape = (5, HISTORY_LENGTH)
    vectors = rng.normal(0, 0.1, (*shape, EMBEDDING_DIM)).astype(np.float32)
    types = rng.integers(0, len(EVENT_TYPES), shape)
    ages_s = np.cumsum(rng.exponential(600, shape), axis=1).astype(np.float32)
    mask = np.arange(HISTORY_LENGTH) < np.array([0, 1, 7, 30, HISTORY_LENGTH])[:, None]
    users = trial.encode(vectors, types, ages_s, mask)
    expected = published.encode(vectors, types, ages_s, mask)
    np.testing.assert_allclose(users, expected, atol=TOLERANCE)
    assert not users[0].any()
    new = [Item(item_id="new", title="A new one", categories=["c1"]), Item(item_id="bare")]
    embedded = trial.embed_items(new)
    np.testing.assert_allclose(embedded, published.embed_items(new), atol=TOLERANCE)
    for user in users[1:]:
        rows, scores = trial.nearest(user, 6)
        np.testing.assert_allclose(scores, published.nearest(user, 6)[1], atol=TOLERANCE)
        assert rows.tolist() == published.nearest(user, 6)[0].tolist()
    assert trial.feature_schema == published.feature_schema == FEATURE_SCHEMA


def test_it_knows_the_items_that_exist_and_no_others(log: TrainingLog, model: EncoderModel) -> None:
    """In the order of their hashes, as the folds look them up."""
    rows = np.array([9, 2, 5])
    trial = trial_bundle(log, rows, model)
    assert set(trial.item_ids) == {log.items[row].item_id for row in rows}
    assert (np.diff(trial.items.hashes.astype(np.int64)) > 0).all()
    of_item = dict(zip(trial.item_ids, trial.item_vectors, strict=True))
    for row in rows:
        expected = model.item_vectors()[row]
        np.testing.assert_array_equal(of_item[log.items[row].item_id], expected)
    assert len(trial.nearest(model.item_vectors()[2], 10)[0]) == 3


def test_without_a_ranker_it_orders_as_the_fusion(log: TrainingLog, model: EncoderModel) -> None:
    """Whatever the other features say."""
    trial = trial_bundle(log, np.arange(3), model)
    features = np.random.default_rng(3).normal(0, 1, (30, len(FEATURES))).astype(np.float32)
    fused = features[:, FEATURES.index("fused_rank_z")]
    scores = trial.probabilities(features)[:, 0]
    assert np.argsort(scores).tolist() == np.argsort(fused).tolist()
    assert ((scores > 0) & (scores < 1)).all()


def test_other_vectors_are_another_version(log: TrainingLog, model: EncoderModel) -> None:
    """Else sessions of the old vectors would be taken for those of the new ones.

    Over the same items, and without an epoch having been chosen in between, as when a model learns
    on from where it was.
    """
    rows = np.arange(len(log.items))
    before = trial_bundle(log, rows, model)
    assert trial_bundle(log, rows, model).tag == before.tag
    with torch.no_grad():
        for parameter in model.tower.parameters():
            parameter.add_(0.1)
    after = trial_bundle(log, rows, model)
    assert after.version != before.version
    assert after.tag != before.tag
