"""Following a stream: it learns what is true, publishes what is better, and refuses what is not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.manifest import RANKER, VECTORS
from online_models.artifacts.sessions import OnnxModel
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from online_models.features import FEATURES
from online_models.training.follow import Decision, Follower
from online_models.training.gate import GateRules
from online_models.training.stream_learner import FollowOptions

from .synthetic_stream import registry, stream, truth

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


def learn(follower: Follower, first: int, last: int, **other: Any) -> Follower:
    for logged in stream(first, last, **other):
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
    scores = OnnxModel(models.path(decision.version) / RANKER)(features=features)
    odds = truth(features)
    learned = np.log(scores / (1 - scores))
    assert np.corrcoef(learned, odds)[0, 1] > 0.9
    assert np.polyfit(odds, learned, 1)[0] == pytest.approx(1, abs=0.2)


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

    def differs(_: object) -> bytes:
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


def test_a_rollback_is_respected_by_the_next_life(folder: Path) -> None:
    """Its own ranker was taken back while it was away."""
    following = learn(follower(folder), 0, 1_500)
    published(following.publish())
    first = registry(folder / "models").rollback()
    again = follower(folder)
    assert again.learner.candidate is None
    assert again.publish() is None
    assert registry(folder / "models").current() == first


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
