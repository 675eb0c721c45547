"""The online learner: calibrated from the start, and not thrown by a mini-batch that is absurd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from online_models.features import FEATURES
from online_models.training.calibration import Calibration
from online_models.training.examined import Rows, examined_slots
from online_models.training.networks import CalibratedRanker, Ranker
from online_models.training.online_ranker import Learner, new_learner

from .synthetic_stream import stream

pytestmark = pytest.mark.training

N = len(FEATURES)
NOTHING = Rows.of([])


def rows(first: int, last: int, **other: bool) -> Rows:
    return Rows.of([examined_slots(logged.example) for logged in stream(first, last, **other)])


def weights(learner: Learner) -> list[torch.Tensor]:
    return list(learner.candidate().state_dict().values())


def test_it_starts_where_the_ranker_in_use_is() -> None:
    """In its order, but as sure as the newest clicks allow."""
    torch.manual_seed(2)
    ranker = Ranker(np.zeros(N, np.float32), np.ones(N, np.float32))
    torch.nn.init.normal_(ranker.last.weight)
    lines = Calibration(torch.ones(4), torch.tensor([-4.6, 0.0, 0.0, 0.0]))
    in_use = CalibratedRanker(ranker, lines).eval()
    first = rows(0, 200)
    learner = new_learner(in_use, first, seed=1)
    with torch.no_grad():
        before = in_use(torch.from_numpy(first.features))[:, 0].numpy()
    after = learner.predict(first.features)[:, 0]
    assert (np.diff(after[np.argsort(before)]) > -1e-6).all()
    assert after.sum() == pytest.approx(first.clicked.sum(), rel=0.02)


def test_a_batch_that_is_absurd_is_skipped() -> None:
    """Its loss is far beyond the usual one; nothing of it stays."""
    learner = new_learner(None, rows(0, 100), seed=1)
    for start in range(100, 500, 8):
        assert learner.learn(rows(start, start + 8), NOTHING) is not None
    before = weights(learner)
    poison = rows(500, 508)
    features = np.where(np.isfinite(poison.features), np.nan, 0).astype(np.float32)
    assert learner.learn(Rows(features, poison.positions, poison.labels), NOTHING) is None
    assert all(map(torch.equal, before, weights(learner)))
    assert learner.learn(rows(508, 516), NOTHING) is not None


def test_a_task_that_never_came_stays_as_seldom_as_it_was() -> None:
    """Nobody buys, so nothing is learned of it; of dwells something is, once there are enough."""
    learner = new_learner(None, rows(0, 40), seed=1)
    for start in range(40, 440, 8):
        learner.learn(rows(start, start + 8), NOTHING)
    head = learner.candidate().ranker.beside_click
    assert head[0].any()
    assert not head[1].any()
    probabilities = learner.predict(rows(500, 510).features)
    given_click = probabilities[:, 2] / probabilities[:, 0]
    assert given_click.max() < 0.02
    assert np.ptp(given_click) < 1e-6
