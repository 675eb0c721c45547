"""Models trained again while a log is lived know what was, and nothing of what will be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from freshet.core.events.schema import CLICK
from online_models.features import FEATURES, SOURCES
from online_models.tasks import COLUMNS, SLATE, TASKS
from online_models.training import prequential
from online_models.training.budget import Budget
from online_models.training.challenger import TreeRanker
from online_models.training.exposures import KEPT_CANDIDATES, Exposure
from online_models.training.histories import Histories
from online_models.training.labels import NEVER
from online_models.training.log import TrainingLog
from online_models.training.networks import CalibratedRanker
from online_models.training.prequential import PrequentialTrainer, TrainingTimes
from online_models.training.ranker import untrained_ranker
from online_models.training.shown import Shown

pytestmark = pytest.mark.training

MakeLog = Callable[..., TrainingLog]


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning rates follow the clock; with one that stands still, epochs alone count."""
    stopped = partial(Budget.of, now=lambda: 0.0)
    monkeypatch.setattr(prequential, "Budget", SimpleNamespace(of=stopped))


@pytest.fixture(scope="module")
def log(random_log: MakeLog) -> TrainingLog:
    return random_log(3, items=30)


def trainer_of(log: TrainingLog, seed: int = 0) -> PrequentialTrainer:
    return PrequentialTrainer(log, TrainingTimes(), seed)


@pytest.fixture
def _few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough of them to choose among, for tests that compare models bit for bit."""
    monkeypatch.setattr(prequential, "_FIRST_EPOCHS", 5)
    monkeypatch.setattr(prequential, "_LATER_EPOCHS", 2)
    monkeypatch.setattr(prequential, "_RANKER_EPOCHS", 5)


def with_another_future(log: TrainingLog, end: int) -> TrainingLog:
    """The same log before an event; from there on others do other things at other times."""
    rng, n = np.random.default_rng(1), len(log) - end
    columns = {"item": len(log.items), "user": log.n_users}
    changed = {name: getattr(log, name).copy() for name in ("item", "user", "kind", "ts_ms")}
    for name, most in columns.items():
        changed[name][end:] = rng.integers(0, most, n)
    changed["kind"][end:] = CLICK
    changed["ts_ms"][end:] = log.ts_ms[end - 1] + np.sort(rng.integers(0, 10**8, n))
    return replace(log, **changed)


def answers(trainer: PrequentialTrainer, end: int) -> list[bytes]:
    """What the models say, bit for bit: of items, of users, of candidates."""
    bundle = trainer.bundle(end)
    rng = np.random.default_rng(5)
    vectors = rng.normal(0, 0.1, (3, 50, 64)).astype(np.float32)
    ages_s = np.cumsum(rng.exponential(600, (3, 50)), axis=1).astype(np.float32)
    mask = np.arange(50) < np.array([1, 10, 50])[:, None]
    users = bundle.encode(vectors, np.ones((3, 50), np.int64), ages_s, mask)
    features = rng.normal(0, 1, (20, len(FEATURES))).astype(np.float32)
    of_items = [bytes(bundle.items.hashes), bundle.item_vectors.tobytes()]
    return [*of_items, users.tobytes(), bundle.probabilities(features).tobytes()]


def exposures(n: int, seed: int, candidates: int = 40) -> list[Exposure]:
    """Exposures whose target is the candidate with the highest momentum."""
    rng = np.random.default_rng(seed)
    found = []
    for event in range(n):
        features = rng.normal(size=(candidates, len(FEATURES))).astype(np.float16)
        target = int(features[:, FEATURES.index("momentum_z")].argmax())
        ranks = np.zeros((candidates, len(SOURCES)), np.int16)
        found.append(Exposure(event, target, features, ranks))
    return found


@pytest.mark.usefixtures("_few_epochs")
@pytest.mark.parametrize("ends", [(250,), (180, 250)])
def test_a_training_does_not_look_at_what_comes_after(
    log: TrainingLog, ends: tuple[int, ...]
) -> None:
    """Another future, the same models: the first training, and one that learns on.

    What chooses the epoch is compared too: it may err without choosing another one.
    """
    found = []
    for each in (log, with_another_future(log, 250)):
        trainer = trainer_of(each)
        for end in ends:
            trainer.train_encoder(end)
        # What exists at the end may rest on the time of the next request: ask one event before.
        found.append((trainer._encoder.history, answers(trainer, 249)))
    assert found[0] == found[1]


@pytest.mark.usefixtures("_few_epochs")
def test_another_past_is_another_model(log: TrainingLog) -> None:
    """Else the comparison above would say nothing."""
    found = []
    for each in (log, with_another_future(log, 200)):
        trainer = trainer_of(each)
        trainer.train_encoder(250)
        found.append(answers(trainer, 199))
    assert found[0][0] == found[1][0]
    assert found[0][1:3] != found[1][1:3]


@pytest.mark.usefixtures("_few_epochs")
def test_a_seed_makes_a_training_reproducible(log: TrainingLog) -> None:
    """Of the encoder and of the ranker; another seed gives other models."""
    found = []
    for seed in (0, 0, 1):
        trainer = trainer_of(log, seed)
        for exposure in exposures(60, 0):
            trainer.see(exposure)
        trainer.train_encoder(200)
        trainer.train_ranker(400)
        found.append(answers(trainer, 200))
    assert found[0] == found[1]
    assert found[0][1] != found[2][1]
    assert found[0][3] != found[2][3]


def test_a_later_training_learns_on(log: TrainingLog) -> None:
    """From where the encoder was: its items stay near to where they stood."""
    trainer, fresh = trainer_of(log), trainer_of(log, seed=1)
    trainer.train_encoder(200)
    before = trainer.bundle(199)
    trainer.train_encoder(300)
    fresh.train_encoder(300)
    assert (trainer.encoder_trainings, fresh.encoder_trainings) == (2, 1)
    after, other = trainer.bundle(199), fresh.bundle(199)
    assert before.tag != after.tag
    moved = (before.item_vectors * after.item_vectors).sum(axis=1).mean()
    apart = (before.item_vectors * other.item_vectors).sum(axis=1).mean()
    assert moved > apart + 0.2


def test_it_takes_no_more_threads_than_there_were(log: TrainingLog) -> None:
    """Two that wait for each other on a busy machine take thirty times as long as one."""
    assert torch.get_num_threads() == 1  # as set for these tests
    PrequentialTrainer(log, TrainingTimes(threads=2), 0)
    assert torch.get_num_threads() == 1


def test_a_bundle_holds_the_items_that_exist(log: TrainingLog) -> None:
    """Untrained too: the funnel can be asked before the first training."""
    trainer, histories = trainer_of(log), Histories(log)
    for end in (5, 100):
        rows = np.flatnonzero(histories.available(end))
        expected = {log.items[row].item_id for row in rows}
        assert set(trainer.bundle(end).item_ids) == expected
    assert 0 < len(trainer.bundle(5).item_ids) < len(trainer.bundle(100).item_ids)


def test_the_ranker_learns_from_what_was_exposed(log: TrainingLog) -> None:
    """And is in the bundle from then on; before it, the fusion orders."""
    trainer = trainer_of(log)
    assert trainer.ranker is None
    for exposure in exposures(400, 0):
        trainer.see(exposure)
    trainer.train_ranker(400)
    bundle = trainer.bundle(100)
    hits = [
        bundle.probabilities(each.features.astype(np.float32))[:, 0].argmax() == each.target
        for each in exposures(50, 1)
    ]
    assert np.mean(hits) > 0.5


def test_a_ranker_knows_neither_later_exposures_nor_what_came_later(
    log: TrainingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request may be asked before a training whose answer comes after it."""
    seen: list[list[Exposure]] = []

    def spy(*parts: list[Exposure], **_: object) -> CalibratedRanker:
        seen.append([each for part in parts for each in part])
        return untrained_ranker()

    monkeypatch.setattr(prequential, "fit_ranker", spy)
    trainer = trainer_of(log)
    for exposure in exposures(8, 0):
        trainer.see(replace(exposure, followed_at=(exposure.event + 1, exposure.event + 3, NEVER)))
    trainer.train_ranker(5)
    assert [each.event for each in seen[0]] == [0, 1, 2, 3, 4]
    assert [each.labels[1] for each in seen[0]] == [True] * 4 + [False]
    assert [each.labels[2] for each in seen[0]] == [True] * 2 + [False] * 3


@pytest.mark.parametrize(("challenger_s", "serves"), [(0.0, CalibratedRanker), (9.0, TreeRanker)])
def test_trees_challenge_the_ranker_when_asked(
    random_log: MakeLog,
    monkeypatch: pytest.MonkeyPatch,
    challenger_s: float,
    serves: type[CalibratedRanker] | type[TreeRanker],
) -> None:
    """Here it never learned anything, so that they are better; without being asked nobody does."""
    monkeypatch.setattr(prequential, "fit_ranker", lambda *_, **__: untrained_ranker())
    times = TrainingTimes(challenger_s=challenger_s)
    trainer = PrequentialTrainer(random_log(3, users=200), times, 0)
    for exposure in exposures(400, 0):
        trainer.see(exposure)
    trainer.train_ranker(400)
    assert isinstance(trainer.ranker, serves)
    features = exposures(1, 1)[0].features.astype(np.float32)
    assert np.isfinite(trainer.bundle(100).probabilities(features)).all()


@pytest.mark.parametrize("strength", [3.0, 0.0])
def test_a_slate_head_is_in_the_bundle_where_slates_teach_one(
    log: TrainingLog, monkeypatch: pytest.MonkeyPatch, strength: float
) -> None:
    """It orders slates that the click does not; else its column is that of the click."""
    monkeypatch.setattr(prequential, "fit_ranker", lambda *_, **__: untrained_ranker())
    trainer, rng = trainer_of(log), np.random.default_rng(0)
    for exposure in exposures(9, 0):
        trainer.see(exposure)
    for _ in range(420):
        features = rng.normal(size=(5, len(FEATURES))).astype(np.float16)
        odds = strength * features[:, 0] + rng.gumbel(size=5)
        clicked = np.arange(5) == odds.argmax()
        trainer.see_shown(Shown(9, features, clicked[:, None] & (np.arange(len(TASKS)) == 0)))
    trainer.train_ranker(400)
    features = rng.normal(size=(500, len(FEATURES))).astype(np.float32)
    found = trainer.bundle(100).probabilities(features)
    assert found.shape == (500, len(COLUMNS))
    if strength:
        assert np.corrcoef(found[:, SLATE], features[:, 0])[0, 1] > 0.7
    else:
        assert np.array_equal(found[:, SLATE], found[:, 0])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_nothing_was_exposed(log: TrainingLog, n: int) -> None:
    """The ranker is the fusion then."""
    trainer = trainer_of(log)
    for exposure in exposures(n, 0):
        trainer.see(exposure)
    trainer.train_ranker(400)
    features = np.random.default_rng(0).normal(size=(9, len(FEATURES))).astype(np.float32)
    assert np.isfinite(trainer.bundle(50).probabilities(features)).all()


def test_only_the_newest_exposures_are_kept_thinned(
    log: TrainingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded memory, however long the log."""
    monkeypatch.setattr(prequential, "MOST_EXPOSURES", 3)
    trainer = trainer_of(log)
    for exposure in exposures(5, 0, candidates=KEPT_CANDIDATES + 9):
        trainer.see(exposure)
    kept = trainer._exposures
    assert [each.event for each in kept] == [2, 3, 4]
    assert {len(each.features) for each in kept} == {KEPT_CANDIDATES}
