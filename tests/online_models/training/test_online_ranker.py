"""The online learner: calibrated from the start, and not thrown by a mini-batch that is absurd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from online_models.features import FEATURES
from online_models.training.examined import Rows, examined_slots
from online_models.training.networks import CalibratedRanker, Ranker
from online_models.training.online_ranker import Learner, new_learner, platt

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
    in_use = CalibratedRanker(ranker, 1.0, -4.6).eval()
    first = rows(0, 200)
    learner = new_learner(in_use, first, seed=1)
    with torch.no_grad():
        before = in_use(torch.from_numpy(first.features)).numpy()
    after = learner.predict(first.features)
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
    assert learner.learn(Rows(features, poison.positions, poison.clicked), NOTHING) is None
    assert all(map(torch.equal, before, weights(learner)))
    assert learner.learn(rows(508, 516), NOTHING) is not None


@pytest.mark.parametrize("clicks", [0, 1, 40])
def test_calibration_survives_what_says_nothing(clicks: int) -> None:
    """No clicks, one, nothing but clicks; and scores that are all the same."""
    clicked = torch.arange(40) < clicks
    for scores in (torch.zeros(40), torch.linspace(-1, 1, 40)):
        slope, intercept = platt(scores, clicked)
        assert np.isfinite([slope, intercept]).all()
        assert slope > 0


def test_calibration_finds_the_line() -> None:
    """Slope and intercept of a known truth; 20,000 draws, five standard errors of slack."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20_000, generator=generator)
    clicked = torch.rand(20_000, generator=generator) < torch.sigmoid(0.7 * scores - 1.5)
    assert platt(scores, clicked) == pytest.approx((0.7, -1.5), abs=0.12)
