"""From events to a bundle in use, and the graphs compute what the networks do."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from freshet.core.errors import BundleError
from freshet.core.events.schema import Event, Item
from freshet.core.settings import Settings
from online_models.artifacts.manifest import RANKER
from online_models.artifacts.registry import Registry
from online_models.artifacts.sessions import OnnxModel
from online_models.content import CONTENT_DIM
from online_models.features import FEATURES
from online_models.tasks import COLUMNS, TASKS
from online_models.training import export
from online_models.training import train as training
from online_models.training.budget import Budget
from online_models.training.calibration import Calibration
from online_models.training.challenger import TreeRanker, fit_challenger
from online_models.training.challenger_choice import Choice
from online_models.training.exposures import Exposure
from online_models.training.log import LogTooShortError
from online_models.training.measure import slate_figures
from online_models.training.networks import (
    CalibratedRanker,
    ContentTower,
    Encoder,
    HistoryEncoder,
    ItemTower,
    Ranker,
)
from online_models.training.ranker import untrained_ranker
from online_models.training.shown import Shown
from online_models.training.train import TrainOptions, train
from replay.exposing import ExposingLife

pytestmark = pytest.mark.training

CREATED_TS_MS = 1_760_500_000_000
LIVE = partial(ExposingLife, settings=Settings())
STAGES = ("encoder", "exposures", "ranker", "challenger", "refit", "export")
QUICK = TrainOptions(epochs=8, max_seconds=60.0, requests=400, threads=1)
Cycle = tuple[list[Event], list[Item]]


@pytest.fixture(scope="module")
def registry(cycle: Cycle, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("models"))
    stages: dict[str, float] = {}
    train(
        *cycle,
        registry,
        live=LIVE,
        options=QUICK,
        created_ts_ms=CREATED_TS_MS,
        report=stages.__setitem__,
    )
    assert stages == dict.fromkeys(STAGES, 1.0)
    return registry


def test_the_bundle_is_in_use_and_foresees(registry: Registry) -> None:
    """A ring is easy: the encoder and the ranker know the next stop."""
    version = registry.current()
    assert version is not None
    bundle = registry.load(version)
    test = bundle.metrics["test"]
    assert test["encoder"]["recall_at_20"] > 0.8
    assert test["ranker"]["mrr_at_20"] > test["recent_popular"]["mrr_at_20"]
    assert bundle.metrics["requests"]["test"] >= 80
    assert bundle.metrics["slates"] == {"train": 0, "choose": 0, "test": 0}
    assert bundle.metrics["remarks"]
    published = bundle.metrics["challenger"]["published"]
    assert {"network", "trees"} & test.keys() == {"network", "trees"} - {published}
    assert any("trees minus network" in each for each in bundle.metrics["remarks"])
    tasks = bundle.metrics["tasks"]
    assert tasks.keys() == {"click"}  # nobody does more than click
    assert tasks["click"]["auc"] > 0.9


def test_better_trees_are_published_as_they_are(
    cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their graph answers the tasks in the bundle's ranker; the slate column stands behind them."""
    grown: list[TreeRanker] = []

    def trees_serve(network: torch.nn.Module, *parts: list[Exposure], **options: Any) -> Choice:
        trees = fit_challenger(*parts, budget=options["budget"], rng=options["rng"])
        assert trees is not None
        grown.append(trees)
        return Choice(trees, "trees", {"network": network}, {"published": "trees"}, "trees serve")

    monkeypatch.setattr(training, "challenged", trees_serve)
    registry = Registry(tmp_path)
    options = TrainOptions(epochs=1, max_seconds=30.0, requests=200, threads=1)
    version = train(*cycle, registry, live=LIVE, options=options, created_ts_ms=CREATED_TS_MS)
    features = np.random.default_rng(0).normal(size=(20, len(FEATURES))).astype(np.float32)
    published = OnnxModel(registry.path(version) / RANKER)(features=features)
    trees = grown[0](torch.from_numpy(features)).numpy()
    assert np.array_equal(published[:, : len(TASKS)], trees)
    assert published.shape == (20, len(COLUMNS))
    assert "network" in registry.manifest(version).metrics["test"]


def test_a_served_history_points_to_the_next_stop(registry: Registry) -> None:
    """Through ONNX and the index, as serving asks."""
    bundle = registry.load(registry.current() or "")
    row_of = {item_id: row for row, item_id in enumerate(bundle.item_ids)}
    hits = 0
    for stop in range(30):
        walked = [row_of[f"i{(stop - back) % 30:02}"] for back in range(4)]
        vectors = np.zeros((1, 50, 64), np.float32)
        vectors[0, :4] = bundle.item_vectors[walked]
        ages_s = np.zeros((1, 50), np.float32)
        ages_s[0, :4] = 40.0 * np.arange(1, 5)
        mask = np.arange(50)[None] < 4
        user = bundle.encode(vectors, np.ones((1, 50), np.int64), ages_s, mask)[0]
        hits += row_of[f"i{(stop + 1) % 30:02}"] in bundle.nearest(user, 3)[0]
    assert hits >= 24


def test_a_refused_bundle_is_not_published(cycle: Cycle, tmp_path: Path) -> None:
    """And nothing stays of it."""

    def refuse(folder: Path) -> None:
        raise BundleError(folder, "no reason")

    registry = Registry(tmp_path, checker=refuse)
    with pytest.raises(BundleError, match="no reason"):
        train(
            *cycle,
            registry,
            live=LIVE,
            options=TrainOptions(epochs=1, max_seconds=1.0, requests=10, threads=1),
            created_ts_ms=CREATED_TS_MS,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_short_log_is_refused(cycle: Cycle, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(LogTooShortError):
        train(
            cycle[0][:50],
            [],
            Registry(tmp_path / "models"),
            live=LIVE,
            options=QUICK,
            created_ts_ms=CREATED_TS_MS,
        )
    assert not (tmp_path / "models").exists()
    assert torch.get_num_threads() == 1  # and no thread is taken that was not given


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    n = len(FEATURES)
    ranker = Ranker(np.zeros(n, np.float32), np.ones(n, np.float32))
    for head in (ranker.last.weight, ranker.beside_click):
        torch.nn.init.normal_(head)
    lines = Calibration(torch.tensor([0.8, 1.1, 0.6, 0.9]), torch.tensor([-4.0, -1.0, 0.5, -2.0]))
    return {
        "ranker": CalibratedRanker(ranker, lines),
        "encoder": HistoryEncoder(Encoder()),
        "item_tower": ContentTower(ItemTower(np.eye(4, CONTENT_DIM, dtype=np.float32))),
    }


@pytest.mark.parametrize("name", ["ranker", "encoder", "item_tower"])
def test_graphs_compute_what_the_networks_do(name: str, tmp_path: Path) -> None:
    """256 rows and one, within 1e-4; the graph is whole in its file."""
    graph = getattr(export, f"export_{name}")(networks()[name])
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(graph)
    OnnxModel(path)


def test_a_graph_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here because nothing is exact enough."""
    monkeypatch.setattr(export, "PARITY_TOLERANCE", -1.0)
    with pytest.raises(BundleError, match="off the network"):
        export.export_ranker(networks()["ranker"])


def _part(n: int, seed: int) -> training._Part:
    """Slates of five, of which the biggest first feature, but for noise, is clicked."""
    rng = np.random.default_rng(seed)
    part = training._Part()
    for _ in range(n):
        features = rng.normal(size=(5, len(FEATURES))).astype(np.float16)
        clicked = np.arange(5) == (3 * features[:, 0] + rng.gumbel(size=5)).argmax()
        labels = clicked[:, None] & (np.arange(len(TASKS)) == 0)
        part.shown.append(Shown(0, features, labels))
    return part


def test_a_log_with_slates_gets_a_head_for_them() -> None:
    """What was measured, and what learned from all parts; it is paid for from the budget."""
    budget = Budget.of(140)
    choice = Choice(untrained_ranker(), "network")
    parts = [_part(300, 1), _part(200, 2), _part(200, 3)]
    measured, kept = training._order_of_slates(choice, parts, QUICK, budget)
    assert measured.metrics["kept"]
    assert kept is not None
    assert kept is not measured.head
    assert 0 < budget.spent_s < 140 * 0.05
    figures = slate_figures(choice.ranker, parts[2].shown, measured.head)
    assert figures["slate_head"] > figures["ranker"] + 0.2
    none, nothing = training._order_of_slates(choice, [training._Part()] * 3, QUICK, budget)
    assert (none.head, nothing) == (None, None)
