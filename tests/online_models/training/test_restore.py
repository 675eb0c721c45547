"""A ranker comes back from its graph, to the last digit that serving would notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from online_models.artifacts.manifest import RANKER
from online_models.artifacts.tiny import tiny_items, write_tiny_bundle
from online_models.features import FEATURES
from online_models.training.calibration import Calibration
from online_models.training.export import export_ranker
from online_models.training.networks import CalibratedRanker, Ranker
from online_models.training.ranker import untrained_ranker
from online_models.training.restore import restore_ranker

pytestmark = pytest.mark.training

N = len(FEATURES)


@pytest.mark.parametrize("trained", [False, True])
def test_it_answers_as_its_graph_does(tmp_path: Path, trained: bool) -> None:
    """Also where the exporter has left out what is zero or a single number."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    mean, deviation = rng.normal(size=N), rng.uniform(0.5, 2, N)
    ranker = Ranker(mean.astype(np.float32), deviation.astype(np.float32))
    if trained:
        for weights in ranker.parameters():
            weights.data += 0.1 * torch.randn_like(weights)
    lines = Calibration(torch.tensor([1.7, 1.0, 0.4, 0.8]), torch.tensor([-3.3, -5.0, 0.0, -1.0]))
    whole = CalibratedRanker(ranker, lines).eval()
    (tmp_path / RANKER).write_bytes(export_ranker(whole))
    restored = restore_ranker(tmp_path / RANKER)
    assert restored is not None
    features = torch.randn(300, N)
    with torch.no_grad():
        assert torch.allclose(restored(features), whole(features), atol=1e-5)
    assert all(weights.requires_grad for weights in restored.parameters())


def test_an_untrained_one_comes_back_too(tmp_path: Path) -> None:
    """Its slopes are ones, and its weights are nothing that a graph need hold."""
    (tmp_path / RANKER).write_bytes(export_ranker(untrained_ranker()))
    restored = restore_ranker(tmp_path / RANKER)
    assert restored is not None
    features = torch.randn(50, N)
    with torch.no_grad():
        assert torch.allclose(restored(features), untrained_ranker().eval()(features), atol=1e-5)


def test_a_graph_of_others_is_none_of_ours(tmp_path: Path) -> None:
    """Learning then begins with the fusion of the sources."""
    write_tiny_bundle(tmp_path, tiny_items(3))
    assert restore_ranker(tmp_path / RANKER) is None
