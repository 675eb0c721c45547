"""Following a stream: it learns what is true, publishes what is better, and refuses what is not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from freshet.core.errors import BundleError
from online_models.artifacts.manifest import RANKER, VECTORS
from online_models.artifacts.new_ranker import write_with_ranker
from online_models.artifacts.sessions import OnnxModel
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from online_models.features import FEATURE_SCHEMA, FEATURES
from online_models.tasks import TASKS
from online_models.training.checkpoint import load_checkpoint, save_checkpoint
from online_models.training.export import export_ranker
from online_models.training.follow import Decision, Follower
from online_models.training.gate import GateRules
from online_models.training.networks import CalibratedRanker
from online_models.training.ranker import untrained_ranker
from online_models.training.slate_graph import read_slate_head
from online_models.training.slate_head import SlateHead
from online_models.training.stream_learner import FollowOptions

from .synthetic_stream import dwell_truth, registry, rejection_truth, stream, truth

pytestmark = pytest.mark.training

OPTIONS = FollowOptions(first=128, buffer=4_000, window=600)
PATIENT = GateRules(most_rank_ms=1_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish_tiny_bundle(tmp_path / "models", tiny_items(20))
    return tmp_path


def follower(folder: Path, rules: GateRules = PATIENT, **other: Any) -> Follower:
    ticks = itertools.count(1_763_900_000)
    return Follower(
        registry(folder / "models"), folder / "learner", options=OPTIONS, rules=rules,
        clock=lambda: 1000 * next(ticks), **other,
    )  # fmt: skip


def learn(
    follower: Follower, first: int, last: int, given_by: str | None = None, **other: Any
) -> Follower:
    """Answers of a version, or of the one in use."""
    for logged in stream(first, last, given_by=given_by or follower._in_use(), **other):
        follower.take(logged)
    return follower


def published(decision: Decision | None) -> Decision:
    assert decision is not None
    assert decision.event == "published", decision
    return decision


def test_it_learns_the_truth_and_publishes_it(folder: Path) -> None:
    """In the order of the truth and as large, though every click depended on the position too."""
    base = registry(folder / "models").current()
    assert base is not None
    following = learn(follower(folder), 0, 4_000)
    decision = published(following.publish())
    models = registry(folder / "models")
    assert models.current() == decision.version != base
    assert models.manifest(decision.version).parent == base
    assert decision.figures["log_loss_before_learning"] < decision.figures["log_loss_in_use"]
    assert models.path(base).joinpath(VECTORS).samefile(models.path(decision.version) / VECTORS)

    features = np.random.default_rng(9).normal(size=(2_000, len(FEATURES))).astype(np.float32)
    scores, dwell, conversion, negative, slate = OnnxModel(models.path(decision.version) / RANKER)(
        features=features
    ).T
    assert np.array_equal(slate, scores)  # the bundle that was in use had no head
    odds = truth(features)
    learned = np.log(scores / (1 - scores))
    assert np.corrcoef(learned, odds)[0, 1] > 0.9
    assert np.polyfit(odds, learned, 1)[0] == pytest.approx(1, abs=0.2)
    given_click = dwell / scores
    dwelt = np.log(given_click / (1 - given_click))
    assert np.corrcoef(dwelt, dwell_truth(features))[0, 1] > 0.8
    assert 0.8 < decision.figures["dwell_calibration_as_it_stands"] < 1.25
    assert np.ptp(conversion / scores) < 1e-4  # nothing was ever bought
    # Of the responses, (1 - click) * hidden reject and click do not.
    rejecting = -odds - np.log1p(np.exp(-rejection_truth(features)))
    assert np.corrcoef(np.log(negative / (1 - negative)), rejecting)[0, 1] > 0.8
    assert 0.8 < decision.figures["negative_calibration_as_it_stands"] < 1.25


def test_the_slate_head_in_use_is_carried_along(folder: Path) -> None:
    """As it is, through two rankers that were learned since."""
    models = registry(folder / "models")
    n = len(FEATURES)
    head = SlateHead(np.zeros(n, np.float32), np.ones(n, np.float32))
    torch.nn.init.normal_(head.layers[-1].weight)
    with models.staging() as staged:
        base = models.path(models.current() or "")
        graph = export_ranker(untrained_ranker(), head)
        write_with_ranker(staged, base, graph, metrics={}, created_ts_ms=1)
        models.publish(staged)
    following = follower(folder)
    for start, end in ((0, 1_500), (1_500, 2_500)):
        version = published(learn(following, start, end).publish()).version
    carried = read_slate_head(models.path(version) / RANKER)
    assert carried is not None
    for name, value in head.state_dict().items():
        assert torch.equal(carried.state_dict()[name], value)


def test_a_poisoned_stream_is_refused_and_learning_goes_on(folder: Path) -> None:
    """The bundle in use stays; when the truth is back, so is the publishing."""
    following = learn(follower(folder), 0, 1_500)
    good = published(following.publish()).version
    learn(following, 1_500, 1_700, inverted=True)
    decision = following.publish()
    assert decision is not None
    assert decision.event == "refused"
    assert any("log loss" in reason for reason in decision.reasons)
    assert registry(folder / "models").current() == good
    assert following.refused == 1
    learn(following, 1_700, 3_400)
    assert published(following.publish()).version != good


def test_too_little_is_no_candidate(folder: Path) -> None:
    """Neither published nor refused."""
    following = follower(folder)
    assert following.publish() is None
    assert learn(following, 0, 150).publish() is None
    assert (following.published, following.refused) == (0, 0)


def test_a_slow_graph_is_refused(folder: Path) -> None:
    """However well it foresees."""
    seconds = itertools.count()
    slow = follower(folder, GateRules(), timer=lambda: float(next(seconds)))
    following = learn(slow, 0, 1_500)
    decision = following.publish()
    assert decision is not None
    assert decision.reasons == ["500 candidates take 1000.0 ms"]


def test_a_graph_that_differs_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exporter's own words."""

    def differs(*_: object) -> bytes:
        raise BundleError("ranker", "the exported graph is 1 off the network")

    monkeypatch.setattr("online_models.training.follow.export_ranker", differs)
    decision = learn(follower(folder), 0, 1_500).publish()
    assert decision is not None
    assert decision.reasons == ["the exported graph is 1 off the network"]
    assert len(registry(folder / "models").versions()) == 1


def test_another_bundle_in_use_is_where_it_begins_anew(folder: Path) -> None:
    """Someone trained, or went back: what was learned since is not pressed on them."""
    following = learn(follower(folder), 0, 1_000)
    other = publish_tiny_bundle(folder / "models", tiny_items(20), seed=1)
    decision = following.publish()
    assert decision is not None
    assert (decision.event, decision.version) == ("began_anew", other)
    assert following.publish() is None
    again = follower(folder)
    assert again.publish() is None
    assert again.learner.counts["learned"] == following.learner.counts["learned"]


def test_answers_given_before_the_swap_judge_nobody(folder: Path) -> None:
    """They are learned from; whoever learns knows of the new vectors only what comes since."""
    following = learn(follower(folder), 0, 1_500)
    old = following._in_use()
    new = publish_tiny_bundle(folder / "models", tiny_items(20), seed=1)
    following.publish()
    learn(following, 1_500, 3_000, given_by=old)
    assert following.learner.counts["learned"] == 3_000
    assert following.publish() is None
    decision = published(learn(following, 3_000, 3_600).publish())
    assert decision.figures["answers"] == 600
    models = registry(folder / "models")
    assert models.path(new).joinpath(VECTORS).samefile(models.path(decision.version) / VECTORS)
    assert not models.path(old).joinpath(VECTORS).samefile(models.path(decision.version) / VECTORS)


def test_what_was_right_under_the_old_vectors_does_not_pass_under_the_new(folder: Path) -> None:
    """It is refused by the answers that were given since the swap, and by no others."""
    following = learn(follower(folder), 0, 3_000)
    good = published(following.publish()).version
    models = registry(folder / "models")
    other = publish_tiny_bundle(folder / "models", tiny_items(20), seed=1)
    with models.staging() as staged:
        graph = models.path(good).joinpath(RANKER).read_bytes()
        write_with_ranker(staged, models.path(other), graph, metrics={}, created_ts_ms=1)
        anchor = models.publish(staged)
    decision = following.publish()
    assert decision is not None
    assert (decision.event, decision.version) == ("began_anew", anchor)
    learn(following, 3_000, 5_000, given_by=good, inverted=True)
    learn(following, 5_000, 5_208, given_by=anchor)
    decision = following.publish()
    assert decision is not None
    assert decision.event == "refused"
    assert decision.figures["answers"] == 208
    assert models.current() == anchor


def test_a_bundle_that_comes_into_use_during_the_check_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate is refused, with its vectors, and learning begins anew from the other."""
    following = learn(follower(folder), 0, 1_500)
    others: list[str] = []

    def meanwhile(candidate: CalibratedRanker, head: SlateHead | None) -> bytes:
        others.append(publish_tiny_bundle(folder / "models", tiny_items(20), seed=1))
        return export_ranker(candidate, head)

    monkeypatch.setattr("online_models.training.follow.export_ranker", meanwhile)
    decision = following.publish()
    assert decision is not None
    assert decision.event == "refused"
    assert f"{others[0]} is in use" in decision.reasons[0]
    models = registry(folder / "models")
    assert models.current() == others[0]
    assert len(models.versions()) == 2
    again = following.publish()
    assert again is not None
    assert (again.event, again.version) == ("began_anew", others[0])


def test_answers_of_rankers_that_were_removed_still_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer may be older than all rankers that are kept, also for the next life."""
    monkeypatch.setattr("online_models.training.follow.KEPT", 1)
    following = learn(follower(folder), 0, 1_200)
    first = published(following.publish()).version
    for end in (1_600, 2_000):
        published(learn(following, end - 400, end).publish())
    assert first not in registry(folder / "models").versions()
    again = learn(follower(folder), 2_000, 2_600, given_by=first)
    decision = published(again.publish())
    assert decision.figures["answers"] == 600


def test_a_rollback_is_respected_by_the_next_life(folder: Path) -> None:
    """Its own ranker was taken back while it was away."""
    following = learn(follower(folder), 0, 1_500)
    published(following.publish())
    first = registry(folder / "models").rollback()
    again = follower(folder)
    assert again.learner.candidate is None
    assert again.publish() is None
    assert registry(folder / "models").current() == first


@pytest.mark.parametrize("schema", [None, [FEATURE_SCHEMA, "click"], ["another", *TASKS]])
def test_a_checkpoint_of_another_kind_keeps_its_place_alone(
    folder: Path, schema: list[str] | None
) -> None:
    """Older than the schema, of other tasks, of other features: what it learned cannot go on."""
    following = learn(follower(folder), 0, 200)
    following.save()
    state = load_checkpoint(folder / "learner")
    assert state is not None
    del state["learner"]["schema"]
    if schema is None:
        del state["kin"]
    else:
        state["learner"]["schema"] = schema
    save_checkpoint(folder / "learner", state)
    again = follower(folder)
    assert again.learner.candidate is None
    assert again.learner.positions == following.learner.positions
    assert again.learner.counts == following.learner.counts


def test_examples_that_come_again_are_passed_over(folder: Path) -> None:
    """After a crash of the joiner the log holds them twice."""
    following = learn(follower(folder), 0, 400)
    learn(following, 200, 400)
    learn(following, 400, 640)
    assert following.learner.counts["repeated"] == 200
    assert following.learner.counts["learned"] == 640


def test_without_a_bundle_it_says_how_to_get_one(tmp_path: Path) -> None:
    """A ranker alone serves nobody."""
    with pytest.raises(BundleError, match="freshet train LOG"):
        follower(tmp_path)
