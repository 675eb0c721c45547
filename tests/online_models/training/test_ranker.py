"""The ranker starts as the fusion, learns what to add, and says probabilities."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURES, SOURCES
from online_models.maths.classification import auc, calibration_ratio
from online_models.tasks import TASKS
from online_models.training import averaging
from online_models.training.budget import Budget
from online_models.training.export import PARITY_TOLERANCE, export_ranker
from online_models.training.exposures import Exposure
from online_models.training.labelled_rows import LabelledRows
from online_models.training.labels import NEVER
from online_models.training.measure import ranker_ranks, task_figures
from online_models.training.networks import CalibratedRanker, Ranker
from online_models.training.ranker import (
    fit_ranker,
    probabilities_of,
    refit_ranker,
    scores_of,
    untrained_ranker,
)
from online_models.training.shown import Shown

pytestmark = pytest.mark.training

Row = TypeVar("Row", Exposure, Shown)

_FUSED = FEATURES.index("fused_rank_z")
_SIGNAL = FEATURES.index("momentum_z")
_INVITING = FEATURES.index("click_rate")
_ABSORBING = FEATURES.index("category_affinity_z")


def some_exposures(n: int, seed: int, strength: float) -> list[Exposure]:
    """Exposures whose target is drawn by `strength` times one feature."""
    rng = np.random.default_rng(seed)
    found = []
    for event in range(n):
        features = rng.normal(size=(60, len(FEATURES))).astype(np.float32)
        odds = np.exp(strength * features[:, _SIGNAL])
        target = int(rng.choice(60, p=odds / odds.sum()))
        found.append(Exposure(event, target, features, np.zeros((60, len(SOURCES)), np.int64)))
    return found


def some_shown(n: int, seed: int) -> list[Shown]:
    """Slates of one item, of which a feature tells that it is clicked on."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 1, len(FEATURES))).astype(np.float16)
    clicked = rng.random((n, 1)) < 1 / (1 + np.exp(1 - 3 * features[:, :, _INVITING]))
    labels = clicked[:, :, None] & (np.arange(len(TASKS)) == 0)
    return [Shown(0, *each) for each in zip(features, labels, strict=True)]


def bare(rows: Sequence[Row]) -> list[Row]:
    """The same without features that tell nothing: the fewer there are, the sooner it learns."""
    tells = np.isin(np.arange(len(FEATURES)), [_FUSED, _SIGNAL, _INVITING])
    return [replace(row, features=row.features * tells) for row in rows]


def fit(
    train: list[Exposure],
    choose: list[Exposure],
    shown: Sequence[Shown] = (),
    shown_later: Sequence[Shown] = (),
) -> CalibratedRanker:
    torch.manual_seed(0)
    return fit_ranker(
        train,
        choose,
        epochs=20,
        budget=Budget.of(60),
        rng=np.random.default_rng(0),
        shown=shown,
        shown_later=shown_later,
    )


def test_untrained_it_is_the_fusion() -> None:
    """Whatever the other features say."""
    torch.manual_seed(3)
    ranker = Ranker(np.zeros(len(FEATURES), np.float32), np.ones(len(FEATURES), np.float32))
    exposure = some_exposures(1, 0, 1.0)[0]
    order = np.argsort(scores_of(ranker, exposure))
    assert order.tolist() == np.argsort(exposure.features[:, _FUSED]).tolist()


def test_it_finds_the_signal_and_is_calibrated() -> None:
    """Far better than the fusion, which is noise here; as many hits as it promises."""
    ranker = fit(some_exposures(600, 1, 2.0), some_exposures(200, 2, 2.0))
    test = some_exposures(300, 3, 2.0)
    ranks = ranker_ranks(ranker, test)
    assert np.mean(ranks["ranker"] < 5) > 0.5
    assert np.mean(ranks["fusion"] < 5) < 0.2
    assert (
        0.8
        < task_figures(ranker, LabelledRows.of_candidates(test))["click"]["predicted_over_true"]
        < 1.2
    )
    scores = scores_of(ranker, test[0])
    assert ((scores > 0) & (scores < 1)).all()


def test_what_is_used_is_the_average_of_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An average that only ever keeps the first step has learned next to nothing."""
    train, choose, test = (some_exposures(200, seed, 2.0) for seed in (1, 2, 3))
    learned = np.mean(ranker_ranks(fit(train, choose), test)["ranker"] < 5)
    monkeypatch.setattr(averaging, "KEEPS", 1.0)
    monkeypatch.setattr(averaging, "SETTLES", 0)
    assert learned > 2 * np.mean(ranker_ranks(fit(train, choose), test)["ranker"] < 5)


def test_where_there_is_nothing_to_learn_it_stays_the_fusion() -> None:
    """The untrained ranker is one of the contestants, and noise does not beat it by much."""
    ranker = fit(some_exposures(300, 4, 0.0), some_exposures(300, 5, 0.0))
    exposure = some_exposures(1, 6, 0.0)[0]
    scores = scores_of(ranker, exposure)
    assert np.ptp(np.log(scores / (1 - scores))) < 2


@pytest.mark.parametrize("n", [0, 1])
def test_next_to_nothing_to_learn_from(n: int) -> None:
    """Still a ranker, with finite probabilities."""
    missed = [
        Exposure(each.event, -1, each.features, each.ranks) for each in some_exposures(3, 7, 1.0)
    ]
    ranker = fit([*missed, *some_exposures(n, 8, 1.0)], [*missed, *some_exposures(n, 9, 1.0)])
    scores = scores_of(ranker, missed[0])
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_feature_that_never_varied_is_switched_off() -> None:
    """A log of clicks alone has no impressions; serving does."""
    train, choose = some_exposures(100, 1, 2.0), some_exposures(50, 2, 2.0)
    column = FEATURES.index("impressions_z")
    for exposure in (*train, *choose):
        exposure.features[:, column] = 0
    ranker = fit(train, choose)
    exposure = some_exposures(1, 3, 1.0)[0]
    before = scores_of(ranker, exposure)
    exposure.features[:, column] += 5
    assert np.array_equal(scores_of(ranker, exposure), before)


# --- what follows a click ---


def with_dwells(exposures: list[Exposure], seed: int) -> list[Exposure]:
    """The same exposures; one feature of the target decides whether it was stayed with."""
    rng = np.random.default_rng(seed)
    odds = [2 * each.features[each.target, _ABSORBING] - 1 for each in exposures]
    stayed = rng.random(len(exposures)) < 1 / (1 + np.exp(-np.array(odds)))
    return [
        replace(each, followed_at=(each.event if so else NEVER, NEVER, NEVER))
        for each, so in zip(exposures, stayed.tolist(), strict=True)
    ]


@pytest.fixture(scope="module")
def dwelling() -> tuple[CalibratedRanker, list[Exposure]]:
    """A ranker that learned from dwells, and exposures that it has not seen."""
    parts = [with_dwells(some_exposures(n, n, 2.0), n) for n in (600, 200, 400)]
    return fit(*parts[:2]), parts[2]


def test_it_finds_what_makes_people_stay(
    dwelling: tuple[CalibratedRanker, list[Exposure]],
) -> None:
    """Given a click, and calibrated; while the clicks are foreseen as they are without."""
    ranker, test = dwelling
    found = task_figures(ranker, LabelledRows.of_candidates(test))
    assert found.keys() == {"click", "dwell"}
    assert found["dwell"]["auc_given_click"] > 0.7
    assert 0.75 < found["dwell"]["predicted_over_true"] < 1.3
    alone = fit(some_exposures(600, 600, 2.0), some_exposures(200, 200, 2.0))
    clicks = task_figures(alone, LabelledRows.of_candidates(test))["click"]
    assert found["click"]["auc"] == pytest.approx(clicks["auc"], abs=0.01)


def test_what_never_came_stays_at_the_base_rate(
    dwelling: tuple[CalibratedRanker, list[Exposure]],
) -> None:
    """The same for all candidates: it orders nothing."""
    ranker, test = dwelling
    found = probabilities_of(ranker, test[0])
    given_click = found[:, 2] / found[:, 0]
    assert given_click == pytest.approx(np.full(60, 0.5 / 601), rel=1e-4)


def test_too_seldom_or_always_is_not_learned() -> None:
    """Dwells without an exception; conversions of which too few are left to calibrate them."""
    parts = some_exposures(200, 1, 2.0), some_exposures(70, 2, 2.0)
    train, choose = (
        [replace(each, followed_at=(0, 0 if each.event < 50 else NEVER, NEVER)) for each in part]
        for part in parts
    )
    found = probabilities_of(fit(train, choose), choose[0])
    assert found[:, 1] / found[:, 0] == pytest.approx(np.full(60, 200.5 / 201), rel=1e-4)
    assert found[:, 2] / found[:, 0] == pytest.approx(np.full(60, 50.5 / 201), rel=1e-4)


def test_its_graph_answers_as_it_does(
    dwelling: tuple[CalibratedRanker, list[Exposure]], tmp_path: Path
) -> None:
    """All tasks, within the tolerance of the export."""
    ranker, test = dwelling
    path = tmp_path / "ranker.onnx"
    path.write_bytes(export_ranker(ranker))
    found = OnnxModel(path)(features=test[0].features)[:, : len(TASKS)]
    np.testing.assert_allclose(found, probabilities_of(ranker, test[0]), atol=PARITY_TOLERANCE)


def test_what_was_shown_teaches_what_a_click_is() -> None:
    """Told from the rest and as often as foreseen, and what comes next is foreseen as before."""
    train, choose, test = (bare(some_exposures(n, n, 2.0)) for n in (600, 200, 300))
    early, late, later = (bare(some_shown(n, n)) for n in (2_000, 500, 2_001))
    unseen = LabelledRows.of_shown(later)
    without = fit(train, choose)
    ranker = fit(train, choose, early, late)
    aucs, ratios = [], []
    for each in (without, ranker):
        with torch.no_grad():
            foreseen = each.eval()(unseen.features)[:, 0].numpy()
        aucs.append(auc(foreseen, unseen.clicked.numpy()))
        ratios.append(calibration_ratio(foreseen, unseen.clicked.numpy()))
    assert aucs[0] < 0.54
    assert aucs[1] > 0.58  # the lists are few, and with them the steps
    assert ratios[0] < 0.5
    assert 0.85 < ratios[1] < 1.15
    hits = [np.mean(ranker_ranks(each, test)["ranker"] < 5) for each in (without, ranker)]
    assert hits[1] > hits[0] - 0.05


def test_a_ranker_that_learned_again_foresees_as_many_clicks_as_came() -> None:
    """Whatever level its scores have come to."""
    train, choose = some_exposures(200, 1, 2.0), some_exposures(70, 2, 2.0)
    early, late = some_shown(500, 1), some_shown(200, 2)
    fitted = fit(train, choose, early, late)
    torch.manual_seed(5)
    again = refit_ranker(
        fitted,
        [*train, *choose],
        budget=Budget.of(60),
        rng=np.random.default_rng(5),
        shown=[*early, *late],
    )
    assert fitted.epochs > 0
    clicks = LabelledRows.of_shown([*early, *late])
    with torch.no_grad():
        foreseen = again.eval()(clicks.features)[:, 0].numpy()
    assert calibration_ratio(foreseen, clicks.clicked.numpy()) == pytest.approx(1, abs=1e-3)


def some_rejections(n: int, seed: int) -> tuple[list[Exposure], list[Exposure]]:
    """Exposures before responses, and before rejections, of which one feature decides."""
    exposures = some_exposures(n, seed, 2.0)
    rng = np.random.default_rng(seed)
    odds = [3 * each.features[each.target, _ABSORBING] - 1 for each in exposures]
    rejects = rng.random(n) < 1 / (1 + np.exp(-np.array(odds)))
    parts: tuple[list[Exposure], list[Exposure]] = ([], [])
    for each, so in zip(exposures, rejects.tolist(), strict=True):
        parts[so].append(each)
    return parts


def test_it_learns_what_is_rejected() -> None:
    """Of the responses, from exposures before rejections; what comes next is not turned by it."""
    (train, rejected), (choose, later) = some_rejections(500, 1), some_rejections(300, 2)
    torch.manual_seed(0)
    ranker = fit_ranker(
        train,
        choose,
        epochs=20,
        budget=Budget.of(60),
        rng=np.random.default_rng(0),
        rejected=rejected,
        rejected_later=later,
    )
    test, unwanted = some_rejections(300, 3)
    found = task_figures(ranker, LabelledRows.of_candidates(test, unwanted))
    assert found["negative"]["true"] == len(unwanted)
    assert found["negative"]["auc"] > 0.65
    assert 0.8 < found["negative"]["predicted_over_true"] < 1.25
    assert np.mean(ranker_ranks(ranker, test)["ranker"] < 5) > 0.4


def test_a_request_whose_target_no_source_found_counts_for_the_level_of_clicks() -> None:
    """Half of all candidates are of such requests: half as many clicks are promised."""
    train, choose = some_exposures(200, 1, 2.0), some_exposures(200, 2, 2.0)
    half = [replace(each, target=-1) if each.event % 2 else each for each in choose]
    rankers = [fit(train, later) for later in (choose, half)]
    whole, missed = (
        sum(float(scores_of(ranker, each).sum()) for each in choose) for ranker in rankers
    )
    assert whole == pytest.approx(200, rel=0.1)
    assert missed == pytest.approx(100, rel=0.1)


def test_what_was_shown_and_never_clicked_on_teaches_nothing() -> None:
    """The ranker is the same as without it."""
    train, choose = some_exposures(200, 1, 2.0), some_exposures(70, 2, 2.0)
    ignored = [
        replace(each, labels=np.zeros((1, len(TASKS)), np.bool_)) for each in some_shown(300, 1)
    ]
    one, other = fit(train, choose), fit(train, choose, ignored, ignored)
    assert torch.equal(one.ranker.cross.weight, other.ranker.cross.weight)
    assert torch.equal(one.intercepts, other.intercepts)


def test_it_learns_from_the_newest_too_once_the_epoch_is_chosen() -> None:
    """A signal that only what chose the epoch holds is learned then; the calibration stays."""
    old, new = some_exposures(600, 41, 2.0), some_exposures(600, 42, 2.0)
    turned = [replace(each, features=np.roll(each.features, 1, axis=1)) for each in new]
    fitted = fit(old, new)
    assert fitted.epochs > 0
    torch.manual_seed(0)
    refitted = refit_ranker(
        fitted, [*old, *turned], budget=Budget.of(60), rng=np.random.default_rng(0)
    )
    test = [
        replace(each, features=np.roll(each.features, 1, axis=1))
        for each in some_exposures(300, 43, 2.0)
    ]
    before, after = (ranker_ranks(each, test)["ranker"] for each in (fitted, refitted))
    assert np.mean(after < 5) > np.mean(before < 5) + 0.2
    assert torch.equal(refitted.slopes, fitted.slopes)


def test_without_time_to_learn_again_a_ranker_stays() -> None:
    """And so does one that orders as the fusion does."""
    fitted = fit(some_exposures(100, 44, 2.0), some_exposures(100, 45, 2.0))
    late = Budget.of(0)
    rng = np.random.default_rng(0)
    assert refit_ranker(fitted, some_exposures(100, 46, 2.0), budget=late, rng=rng) is fitted
    fusion = untrained_ranker()
    whole = Budget.of(60)
    assert refit_ranker(fusion, some_exposures(100, 46, 2.0), budget=whole, rng=rng) is fusion
