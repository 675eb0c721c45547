"""The judge asks everyone the same, shows nobody the future, and trains when the plan says so."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import INTERACTION, REJECTION, Event, Item
from freshet.core.settings import Settings
from freshet.core.state.records import HISTORY_LENGTH
from online_models.artifacts.bundle import Bundle
from online_models.artifacts.check import load_bundle
from online_models.artifacts.tiny import write_tiny_bundle
from online_models.features import FEATURES
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog, build_log
from online_models.training.shown import Shown
from online_models.training.slates import Slates
from replay.evaluate.baselines import baselines
from replay.evaluate.judge import FUSION, RANKER, Judge, Plan, Trainer, training_events
from replay.evaluate.outcome import Outcome
from replay.evaluate.request import LIST_LENGTH, PRODUCT, Contestant, Request, Rows
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.world import Plan as WorldPlan

PLAN = Plan(requests=60, slates=50, rejections=0)


class Invented(NamedTuple):
    """A small generated log."""

    log: TrainingLog
    events: list[Event]
    items: list[Item]


@pytest.fixture(scope="module")
def invented() -> Invented:
    """Two days of eighty people."""
    plan = WorldPlan(users=80, items=40, days=2)
    world, rows = generate(plan)
    events, items = list(to_events(plan, rows)), to_items(plan, world)
    return Invented(build_log(events, items), events, items)


class Diary:
    """A contestant that writes down what it is told, and lists what is offered, row by row."""

    name = "diary"

    def __init__(self) -> None:
        self.learned: list[int] = []
        self.requests: list[Request] = []

    def learn(self, end: int) -> None:
        self.learned.append(end)

    def recommend(self, request: Request) -> Rows:
        self.requests.append(request)
        return np.flatnonzero(request.offered)  # more than are wanted


class Apprentice:
    """A trainer that writes down what it is told to do."""

    def __init__(self, bundle: Bundle) -> None:
        self.told: list[tuple[str, int]] = []
        self.exposures: list[Exposure] = []
        self.shown: list[Shown] = []
        self._bundle = bundle

    def see(self, exposure: Exposure) -> None:
        self.exposures.append(exposure)

    def see_shown(self, shown: Shown) -> None:
        self.shown.append(shown)

    def train_encoder(self, end: int) -> None:
        self.told.append(("encoder", end))

    def train_ranker(self, _end: int) -> None:
        self.told.append(("ranker", len(self.exposures)))

    def bundle(self, end: int) -> Bundle:
        self.told.append(("bundle", end))
        return self._bundle


def judged(
    invented: Invented,
    others: Sequence[Contestant] = (),
    trainer: Trainer | None = None,
    parts: Sequence[Contestant] = (),
) -> Outcome:
    """Run a judge over the invented log."""
    log, events, _ = invented
    return Judge("invented", log, events, Settings(), trainer, others, PLAN, parts).run()


@pytest.fixture(scope="module")
def diary() -> Diary:
    """What a contestant was told in the run of `outcome`."""
    return Diary()


@pytest.fixture(scope="module")
def outcome(invented: Invented, diary: Diary) -> Outcome:
    """A run without models."""
    return judged(invented, [diary])


def test_everyone_answers_every_request_that_counts(outcome: Outcome, diary: Diary) -> None:
    """The product, its parts and the others, in the order of time, after the warm-up."""
    log = outcome.log
    asked_at = Histories(log).asked_at[outcome.events]
    assert {PRODUCT, RANKER, FUSION, "source popular", "diary"} <= outcome.lists.keys()
    assert {each.shape for each in outcome.lists.values()} == {(len(asked_at), LIST_LENGTH)}
    assert 20 < len(asked_at) <= PLAN.requests
    assert (np.diff(asked_at) >= 0).all()
    assert asked_at.min() >= log.cut(PLAN.judge_from)
    assert (outcome.targets == log.item[outcome.events]).all()


def test_a_part_of_the_product_is_asked_and_is_no_baseline(invented: Invented) -> None:
    """Its lists stand beside the others."""
    baseline, part = Diary(), Diary()
    part.name = "part"
    outcome = judged(invented, [baseline], parts=[part])
    assert outcome.baselines == ["diary"]
    assert (outcome.lists["part"] == outcome.lists["diary"]).all()
    assert part.learned == baseline.learned


def test_slates_are_ranked_where_answers_count(outcome: Outcome) -> None:
    """Evenly over that time, at most as many as the plan allows; in the order of time."""
    found = outcome.impressions
    assert found is not None
    assert found.slates == PLAN.slates
    log = outcome.log
    start_ms = int(log.ts_ms[log.cut(PLAN.judge_from)])
    assert (np.diff(found.ts_ms) >= 0).all()
    assert start_ms <= found.ts_ms[0] < start_ms + (log.ts_ms[-1] - start_ms) / 10
    assert {len(each) for each in found.scores.values()} == {len(found.clicked)}
    assert {PRODUCT, "item click rate", "recent popularity, 2,000"} <= set(found.scores)


def test_lists_hold_what_is_offered_and_new_to_the_user(outcome: Outcome, diary: Diary) -> None:
    """No row twice, none that does not exist yet, none of the user's history; never empty."""
    for lists in (outcome.lists[PRODUCT], outcome.lists["diary"]):
        for rows, request in zip(lists, diary.requests, strict=True):
            listed = rows[rows >= 0]
            assert len(listed) == len(set(listed.tolist())) > 0
            assert request.offered[listed].all()


def test_a_request_holds_the_past_and_nothing_else(outcome: Outcome, diary: Diary) -> None:
    """History, clock and catalogue counted the slow way, up to where the request was asked."""
    log = outcome.log
    assert diary.learned == [request.asked_at for request in diary.requests]
    for request, event in zip(diary.requests, outcome.events.tolist(), strict=True):
        end = request.asked_at
        assert end <= event
        mine = [row for row in range(end) if log.user[row] == log.user[event] and acted(log, row)]
        mine = mine[::-1][:HISTORY_LENGTH]
        assert request.items.tolist() == log.item[mine].tolist()
        assert request.now_ms == log.ts_ms[end - 1]
        exists = {
            *log.item[:end].tolist(),
            *np.flatnonzero(log.created_ts_ms <= log.ts_ms[end]).tolist(),
        }
        assert set(np.flatnonzero(request.offered).tolist()) == exists - set(request.items.tolist())
        acted_on = {int(log.item[row]) for row in range(end) if log.user[row] == log.user[event]
                    and acted(log, row)}  # fmt: skip
        assert set(request.seen.tolist()) == acted_on - set(request.items.tolist())


def test_what_is_noted_of_a_request_is_what_was_before_it(outcome: Outcome, diary: Diary) -> None:
    """Length of the history, and how often the target was acted on by anyone."""
    log = outcome.log
    for number, request in enumerate(diary.requests):
        acts = [row for row in range(request.asked_at) if acted(log, row)]
        assert outcome.history_lengths[number] == len(request.items)
        expected = (log.item[acts] == outcome.targets[number]).sum()
        assert outcome.target_counts[number] == expected


def acted(log: TrainingLog, row: int) -> bool:
    """Whether an event is more than an impression."""
    return bool(INTERACTION[log.kind[row]])


def test_lists_are_asked_for_before_rejections(invented: Invented) -> None:
    """Of items that are new to the user, by everyone, and none of them counts as a request."""
    events = [
        msgspec.structs.replace(event, type="hide")
        if event.type == "click" and number % 3 == 0
        else event
        for number, event in enumerate(invented.events)
    ]
    log = build_log(events, invented.items)
    diary, plan = Diary(), replace(PLAN, requests=50, slates=0, rejections=40)
    outcome = Judge("invented", log, events, Settings(), None, [diary], plan).run()
    found = outcome.rejections
    assert found is not None
    rejected = found.events.tolist()
    assert 10 < len(rejected) <= 40
    assert REJECTION[log.kind[rejected]].all()
    assert not set(rejected) & set(outcome.events.tolist())
    assert set(found.lists) == {PRODUCT, "diary"}
    assert {len(lists) for lists in found.lists.values()} == {len(rejected)}
    asked = {request.event: request for request in diary.requests}
    for event, listed in zip(rejected, found.lists["diary"].tolist(), strict=True):
        assert asked[event].asked_at <= event
        assert log.item[event] not in asked[event].items
        assert listed == np.flatnonzero(asked[event].offered)[:LIST_LENGTH].tolist()
    assert diary.learned == sorted(diary.learned)


def test_a_baseline_that_hides_no_more_stands_once(invented: Invented) -> None:
    """Where all that was seen is among the last interactions, a second row says nothing.

    The models are trained when the product is, three times, and when the second day begins.
    """
    log = invented.log
    outcome = judged(invented, baselines(log, training_events(log, PLAN)[1:]))
    assert not [name for name in outcome.lists if "hidden" in name]
    assert set(outcome.baselines) <= outcome.lists.keys()
    assert {outcome.playing[name].trainings for name in ("ease", "ials", "item-knn")} == {4}
    # Nobody has a past that is older than the last interactions.
    assert [name for name in outcome.baselines if not outcome.played(name)] == ["own-past"]


def test_the_same_run_twice_is_the_same(invented: Invented, outcome: Outcome) -> None:
    """List by list."""
    again = judged(invented, [Diary()])
    for name, lists in outcome.lists.items():
        assert (again.lists[name] == lists).all(), name


def test_models_are_trained_when_the_plan_says(invented: Invented, tmp_path: Path) -> None:
    """The encoder before the first exposure, the ranker as soon as answers count, then evenly."""
    write_tiny_bundle(tmp_path, invented.items)
    trainer = Apprentice(load_bundle(tmp_path))
    outcome = judged(invented, trainer=trainer)
    cut = invented.log.cut
    ends = [cut(0.2), cut(0.4), cut(0.6), cut(0.8)]
    assert [end for what, end in trainer.told if what == "encoder"] == ends
    assert [end for what, end in trainer.told if what == "bundle"] == ends
    found = np.array([each.event for each in trainer.exposures if each.target >= 0])
    assert outcome.facts["ranker_exposures"] == (found < ends[-1]).sum() > 0
    known = [exposures for what, exposures in trainer.told if what == "ranker"]
    asked_at = Histories(invented.log).asked_at[[each.event for each in trainer.exposures]]
    assert known == [int((asked_at < end).sum()) for end in ends[1:]]
    assert len(trainer.exposures) > len(outcome.events)
    assert (outcome.lists[PRODUCT] >= 0).any(axis=1).all()


def test_what_was_shown_is_learned_from_too(invented: Invented, tmp_path: Path) -> None:
    """Slates from the first training on, each once, as they were ranked."""
    write_tiny_bundle(tmp_path, invented.items)
    trainer = Apprentice(load_bundle(tmp_path))
    judged(invented, trainer=trainer)
    log = invented.log
    slates = Slates(log, Histories(log)).between(log.cut(0.2), len(log), len(log))
    assert 0 < len(trainer.shown) <= len(slates)
    assert {each.closed_at for each in trainer.shown} <= {slate.closed_at for slate in slates}
    closed_at = [each.closed_at for each in trainer.shown]
    assert closed_at == sorted(closed_at)
    for each in trainer.shown:
        assert each.features.shape == (len(each.clicked), len(FEATURES))
        assert np.isfinite(each.features).all()


def test_an_exposure_names_the_right_candidate(invented: Invented, tmp_path: Path) -> None:
    """Its share is the recall of the candidates; a miss of theirs is a miss of the product."""
    write_tiny_bundle(tmp_path, invented.items)
    trainer = Apprentice(load_bundle(tmp_path))
    outcome = judged(invented, trainer=trainer)
    seen = {each.event: each for each in trainer.exposures}
    counted = [seen[event] for event in outcome.events.tolist()]
    assert [each.event for each in counted] == outcome.events.tolist()
    found = np.array([each.target >= 0 for each in counted])
    assert outcome.facts["candidate_recall"] == found.mean()
    assert not (outcome.ranks(PRODUCT)[~found] >= 0).any()
    assert all(each.target < len(each.features) == len(each.ranks) for each in counted)
