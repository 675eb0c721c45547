"""Trees learn what is not linear, and their graph decides as they do."""

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from online_models.artifacts.check import check_in_child, load_bundle
from online_models.artifacts.manifest import RANKER
from online_models.artifacts.new_ranker import write_with_ranker
from online_models.artifacts.tiny import tiny_items, write_tiny_bundle
from online_models.features import FEATURES, SOURCES
from online_models.tasks import COLUMNS, SLATE
from online_models.training import challenger
from online_models.training.budget import Budget
from online_models.training.challenger import LightGBMMissingError, TreeRanker, fit_challenger
from online_models.training.export import add_slate_column
from online_models.training.exposures import Exposure
from online_models.training.labels import NEVER
from online_models.training.ranker import probabilities_of, scores_of
from online_models.training.restore import restore_ranker

pytestmark = pytest.mark.training

_CANDIDATES = 60


def some_exposures(n: int, seed: int) -> list[Exposure]:
    """Exposures whose target is drawn by the product of two features; a third makes people stay."""
    rng = np.random.default_rng(seed)
    found = []
    for event in range(n):
        features = rng.normal(size=(_CANDIDATES, len(FEATURES))).astype(np.float16)
        odds = np.exp(2 * features[:, 3].astype(float) * features[:, 4])
        target = int(rng.choice(_CANDIDATES, p=odds / odds.sum()))
        stayed = rng.random() < (0.9 if features[target, 7] > 0 else 0.2)
        ranks = np.zeros((_CANDIDATES, len(SOURCES)), np.int16)
        found.append(
            Exposure(event, target, features, ranks, (event + 1 if stayed else NEVER, NEVER, NEVER))
        )
    return found


def fit(learned: list[Exposure], held_out: list[Exposure], seconds: float = 60) -> TreeRanker:
    ranker = fit_challenger(
        learned,
        held_out,
        budget=Budget.of(seconds, now=lambda: 0.0),  # the number of trees is not the clock's
        rng=np.random.default_rng(0),
    )
    assert ranker is not None
    return ranker


@pytest.fixture(scope="module")
def trees() -> TreeRanker:
    return fit(some_exposures(600, 0), some_exposures(200, 1))


def test_they_learn_what_is_not_linear(trees: TreeRanker) -> None:
    """A product of two features; one in sixty would be first by chance."""
    test = some_exposures(200, 2)
    first = [scores_of(trees, each).argmax() == each.target for each in test]
    assert np.mean(first) > 0.3
    foreseen = sum(float(scores_of(trees, each).sum()) for each in test)
    assert 0.8 < foreseen / len(test) < 1.2


def test_what_follows_a_click_has_trees_of_its_own(trees: TreeRanker) -> None:
    """Of the stay; nobody ever bought anything, so that a purchase stays nearly impossible."""
    stayed: dict[bool, list[float]] = {True: [], False: []}
    for each in some_exposures(200, 3):
        click, dwell, conversion, _ = probabilities_of(trees, each)[each.target]
        stayed[bool(each.features[each.target, 7] > 0)].append(dwell / click)
        assert conversion < 0.01 * click
    assert np.mean(stayed[True]) > np.mean(stayed[False]) + 0.4


def test_candidates_that_score_the_same_are_no_hits() -> None:
    """Where the target always stands first and nothing tells it, no tree is worth growing."""
    blind = [
        replace(each, target=0, features=np.zeros_like(each.features))
        for each in some_exposures(60, 4)
    ]
    ranker = fit(blind, blind)
    assert np.ptp(scores_of(ranker, some_exposures(1, 5)[0])) == 0


@pytest.mark.parametrize("n", [1, 2])
def test_next_to_nothing_to_learn_from(n: int) -> None:
    """Still a ranker, with finite probabilities."""
    found = probabilities_of(
        fit(some_exposures(n, 6), some_exposures(n, 7)), some_exposures(1, 8)[0]
    )
    assert ((found > 0) & (found < 1)).all()


def test_nothing_to_learn_from_is_no_challenger() -> None:
    """No exposure at all, none whose target was found, none with anything to tell apart."""
    one = some_exposures(1, 9)[0]
    missed = replace(one, target=-1)
    alone = replace(one, target=0, features=one.features[:1], ranks=one.ranks[:1])
    for nothing in ([], [missed], [alone]):
        for parts in ((nothing, [one]), ([one], nothing)):
            assert fit_challenger(*parts, budget=Budget.of(9), rng=np.random.default_rng(0)) is None


def test_a_budget_that_is_spent_grows_no_tree() -> None:
    """The ranker is valid and knows nothing."""
    ranker = fit(some_exposures(40, 0), some_exposures(40, 1), seconds=0)
    assert np.ptp(scores_of(ranker, some_exposures(1, 2)[0])) == 0


def test_a_graph_that_answers_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here because nothing is exact enough."""
    monkeypatch.setattr(challenger, "PARITY_TOLERANCE", -1.0)
    with pytest.raises(challenger.BundleError, match="off the trees"):
        fit(some_exposures(40, 0), some_exposures(40, 1))


def test_through_the_door_it_ranks_as_before(trees: TreeRanker, tmp_path: Path) -> None:
    """Written, checked in a child process, opened from disk."""
    base, folder = tmp_path / "base", tmp_path / "trees"
    base.mkdir()
    folder.mkdir()
    write_tiny_bundle(base, tiny_items(50))
    graph = add_slate_column(trees.graph, trees, None)
    write_with_ranker(folder, base, graph, metrics={}, created_ts_ms=1_763_800_000_000)
    check_in_child(folder)
    features = some_exposures(1, 3)[0].features.astype(np.float32)
    found = load_bundle(folder).probabilities(features)
    assert found.shape == (_CANDIDATES, len(COLUMNS))
    assert np.array_equal(found[:, :SLATE], trees(torch.from_numpy(features)).numpy())
    assert np.array_equal(found[:, SLATE], found[:, 0])


def test_following_begins_from_the_fusion(trees: TreeRanker, tmp_path: Path) -> None:
    """Trees are no weights to learn on from."""
    (tmp_path / RANKER).write_bytes(trees.graph)
    assert restore_ranker(tmp_path / RANKER) is None


@pytest.mark.parametrize("error", [ImportError("no such module"), OSError("libgomp.so.1")])
def test_without_lightgbm_the_reason_is_said(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be missing, or a library of the system that it needs."""
    imported = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "lightgbm":
            raise error
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(LightGBMMissingError, match=rf"{error}.*pip install"):
        fit(some_exposures(2, 0), some_exposures(2, 1))
