"""The encoder learns what can be learned, and its mask and order mean what they say."""

from itertools import count

import numpy as np
import pytest
import torch

from freshet.core.events.schema import Event, Item
from online_models.training.budget import Budget
from online_models.training.encoder import EncoderModel, Negatives, fit_encoder, foresight
from online_models.training.histories import Histories
from online_models.training.log import build_log
from online_models.training.networks import Encoder, HistoryEncoder

pytestmark = pytest.mark.training

Cycle = tuple[list[Event], list[Item]]


def test_it_learns_a_ring(cycle: Cycle) -> None:
    """Whoever stands at a stop goes to the next one: nearly always foreseen, first of 30."""
    torch.manual_seed(0)
    log = build_log(*cycle)
    end = log.cut(0.8)
    model = EncoderModel.fresh(log)
    requests = Histories(log).requests(end, len(log), 200)
    warm = requests[Histories(log).before(requests).mask.any(axis=1)]
    before = foresight(model, Histories(log), log, warm)
    fit_encoder(
        model,
        log,
        end,
        epochs=15,
        budget=Budget.of(60),
        rng=np.random.default_rng(0),
        validation=warm,
    )
    after = foresight(model, Histories(log), log, warm)
    assert before < 0.3
    assert after > 0.9
    assert after == max(model.history)


def test_training_ends_when_the_budget_is_spent(cycle: Cycle) -> None:
    """In the middle of the first epoch, after steps that cost as much; no clock is looked at."""
    torch.manual_seed(0)
    log = build_log(*cycle)
    budget = Budget.of(0.05, now=lambda: 0.0)
    shares: list[float] = []
    fit_encoder(
        EncoderModel.fresh(log),
        log,
        len(log),
        epochs=1000,
        budget=budget,
        rng=np.random.default_rng(0),
        report=shares.append,
    )
    assert len(shares) < 12
    assert shares[-1] == 1.0


@pytest.mark.parametrize("pace", [0.0, 0.1])
def test_a_slow_clock_changes_nothing(cycle: Cycle, pace: float) -> None:
    """As many steps, and the same weights to the bit, however much time passes at each look."""
    log = build_log(*cycle)
    models = []
    for step_s in (0.0, pace):
        torch.manual_seed(0)
        ticks = count()
        budget = Budget.of(0.2, now=lambda: step_s * next(ticks) / 10)  # noqa: B023
        model = EncoderModel.fresh(log)
        fit_encoder(model, log, 2_000, epochs=9, budget=budget, rng=np.random.default_rng(0))
        models.append(model)
    assert models[0].steps == models[1].steps > 3
    assert (models[0].item_vectors() == models[1].item_vectors()).all()


def test_windows_and_requests_see_the_same() -> None:
    """Each position of a window answers as a request with only its past would be answered."""
    torch.manual_seed(1)
    encoder = Encoder().eval()
    rng = np.random.default_rng(0)
    n = 12
    vectors = torch.from_numpy(rng.normal(size=(1, n, 64)).astype(np.float32))
    types = torch.from_numpy(rng.integers(0, 10, (1, n)))
    gaps_s = torch.from_numpy(rng.exponential(500, (1, n)).astype(np.float32))
    mask = torch.ones(1, n, dtype=torch.bool)
    with torch.no_grad():
        together = encoder(vectors, types, gaps_s, mask, newest_only=False)[0]
        for position in range(n):
            request = HistoryEncoder(encoder)(
                vectors[:, position:],
                types[:, position:],
                gaps_s[:, position:].cumsum(1),
                mask[:, position:],
            )[0]
            np.testing.assert_allclose(together[position].numpy(), request.numpy(), atol=1e-4)


def test_padding_changes_nothing() -> None:
    """Whatever stands behind the end of a history; and without one the answer is zero."""
    torch.manual_seed(2)
    network = HistoryEncoder(Encoder()).eval()
    rng = np.random.default_rng(3)
    vectors = torch.from_numpy(rng.normal(size=(2, 50, 64)).astype(np.float32))
    types = torch.zeros(2, 50, dtype=torch.long)
    ages_s = torch.arange(50.0).repeat(2, 1)
    mask = torch.arange(50)[None] < torch.tensor([[7], [0]])
    with torch.no_grad():
        users = network(vectors, types, ages_s, mask)
        vectors[0, 7:] = 3
        again = network(vectors, types, ages_s, mask)
    np.testing.assert_allclose(users.numpy(), again.numpy(), atol=1e-6)
    assert not users[1].any()
    assert float(users[0].norm()) == pytest.approx(1, abs=1e-5)


def test_sampled_negatives_are_drawn_as_often_as_expected() -> None:
    """Half evenly, half by popularity; 5 standard errors over 6,000 items and 200 draws."""
    counts = np.random.default_rng(0).zipf(1.5, 6_001).clip(max=10_000)
    counts[17] = 0
    negatives = Negatives(counts, np.random.default_rng(1))
    drawn = [negatives.draw() for _ in range(200)]
    rows = np.concatenate([rows for rows, _ in drawn])
    expected = dict(zip(rows.tolist(), np.exp(np.concatenate([e for _, e in drawn])), strict=True))
    assert 17 not in expected
    top = int(np.argmax(counts))
    mean = 200 * expected[top]
    assert abs((rows == top).sum() - mean) < 5 * np.sqrt(mean)
