"""The encoder alone learns what can be learned, in every way that it can be told to."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
import torch

from freshet.core.events.schema import Event, Item
from online_models.training import lone_encoder
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog, build_log
from online_models.training.lone_encoder import Effort, LoneEncoder

pytestmark = pytest.mark.training

Cycle = tuple[list[Event], list[Item]]
LITTLE = Effort(first_epochs=2, later_epochs=1)


@pytest.fixture(scope="module")
def log(cycle: Cycle) -> TrainingLog:
    return build_log(*cycle)


@pytest.fixture(scope="module")
def begun(log: TrainingLog) -> LoneEncoder:
    """An encoder after its first training, for little."""
    encoder = LoneEncoder(log, LITTLE, 0)
    encoder.fit(log.cut(0.5))
    return encoder


def first_place(encoder: LoneEncoder, log: TrainingLog, start: float = 0.8) -> float:
    """The share of requests whose item has the biggest score of all."""
    histories = Histories(log)
    requests = histories.requests(log.cut(start), len(log), 300)
    requests = requests[histories.before(requests).mask.any(axis=1)]
    scores = encoder.scores(histories.before(requests))
    return float((scores.argmax(axis=1) == log.item[requests]).mean())


def test_a_ring_is_learned_at_once(log: TrainingLog) -> None:
    """Whoever stands at a stop goes to the next one of 30."""
    encoder = LoneEncoder(log, Effort(first_epochs=6), 0)
    assert first_place(encoder, log) < 0.3
    encoder.fit(log.cut(0.8))
    assert first_place(encoder, log) > 0.8


def test_training_on_and_following_foresee_more(log: TrainingLog, begun: LoneEncoder) -> None:
    """Than the little that was learned first, which itself stays as it is."""
    before = first_place(begun, log)
    daily, online = begun.copied(), begun.copied()
    for share in (0.6, 0.7, 0.8):
        daily.fit_on(log.cut(share))
    ends = range(log.cut(0.5), log.cut(0.8), 100)
    for start, end in pairwise(ends):
        online.follow(start, end)
    assert first_place(daily, log) > before + 0.1
    assert first_place(online, log) > before + 0.1
    assert first_place(begun, log) == before


def test_sums_do_not_depend_on_threads(
    log: TrainingLog, begun: LoneEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch adds gradients up in one order while it trains, and afterwards as it did before."""
    seen = []
    monkeypatch.setattr(
        lone_encoder,
        "fit_encoder",
        lambda *_, **__: seen.append(torch.are_deterministic_algorithms_enabled()),
    )
    begun.copied().fit_on(log.cut(0.6))
    assert seen == [True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_equal_events_give_equal_models(log: TrainingLog, begun: LoneEncoder) -> None:
    """To the bit, whatever else draws from torch meanwhile; and nobody else is disturbed."""
    end = log.cut(0.5)
    history = Histories(log).before(np.arange(end, end + 50))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    again = LoneEncoder(log, LITTLE, 0)
    again.fit(end)
    assert torch.rand(3).equal(expected)
    pair = []
    for encoder in (begun.copied(), again):
        encoder.follow(end, end + 200)
        encoder.fit_on(end + 300)
        torch.rand(7)
        pair.append(encoder.scores(history))
    assert (pair[0] == pair[1]).all()


def test_nothing_behind_the_end_is_learned(cycle: Cycle) -> None:
    """With other items in the rest of the log, the models are the same."""
    events, items = sorted(cycle[0], key=lambda event: event.ts_ms), cycle[1]
    end = len(events) // 2
    turned = [
        msgspec.structs.replace(event, item_id=other.item_id)
        for event, other in zip(events[end:], events[:end], strict=True)
    ]
    scores = []
    for log in (build_log(events, items), build_log([*events[:end], *turned], items)):
        encoder = LoneEncoder(log, LITTLE, 0)
        encoder.fit(end - 400)
        encoder.follow(end - 400, end - 200)
        encoder.fit_on(end)
        scores.append(encoder.scores(Histories(log).before(np.arange(end - 60, end))))
    assert (scores[0] == scores[1]).all()
