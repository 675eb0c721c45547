"""From labels drawn at random nothing can be learned; whoever foresees them, cheats."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from online_models.features import FEATURES, SOURCES
from online_models.training.exposures import Exposure
from replay.evaluate.random_labels import Fit, Scorer, check_random_labels, relabelled


def exposures(count: int, candidates: int = 60) -> list[Exposure]:
    """Exposures whose right candidate has the biggest first feature."""
    rng = np.random.default_rng(7)
    made = []
    for event in range(count):
        features = rng.random((candidates, len(FEATURES))).astype(np.float16)
        ranks = np.zeros((candidates, len(SOURCES)), np.int16)
        made.append(Exposure(event, int(features[:, 0].argmax()), features, ranks))
    return made


class Fitted:
    """Finds the feature that tells the right candidates apart best, and scores by it."""

    def __init__(self, learned: Sequence[Exposure], _chosen: Sequence[Exposure]) -> None:
        lifts = [each.features[each.target] - each.features.mean(axis=0) for each in learned]
        self._column = int(np.mean(lifts, axis=0).argmax())

    def __call__(self, exposure: Exposure) -> NDArray[np.float16]:
        return exposure.features[:, self._column]


def first_is_right(_learned: object, _chosen: object) -> Scorer:
    """Score by the place in the list, where a trainer puts the right one first."""
    return lambda exposure: -np.arange(len(exposure.features))


def all_alike(_learned: object, _chosen: object) -> Scorer:
    """Score nothing, so that the order of equals decides."""
    return lambda exposure: np.zeros(len(exposure.features))


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("fit", [Fitted, all_alike])
def test_an_honest_ranker_passes(fit: Fit) -> None:
    """False alarm: under 1 in 10,000 a seed, and the seed is fixed."""
    check = check_random_labels(relabelled(exposures(400), rng()), fit, rng())
    assert check.passed, check.found
    assert check.figures["expected_recall20"] == pytest.approx(20 / 60)
    assert abs(check.figures["auc"] - 0.5) < 0.1


def test_labels_that_are_not_random_are_found() -> None:
    """The true ones are learned at once."""
    check = check_random_labels(exposures(400), Fitted, rng())
    assert check.passed is False
    assert check.figures["auc"] > 0.99
    assert check.figures["recall20"] == 1


def test_a_ranker_that_knows_where_the_right_one_stands_is_found() -> None:
    """Thinning puts it first, which no ranker may use; equal scores give nothing away."""
    drawn = relabelled(exposures(100, candidates=400), rng())
    assert {each.target for each in drawn} == {0}
    assert check_random_labels(drawn, first_is_right, rng()).passed is False
    assert check_random_labels(drawn, all_alike, rng()).passed


def test_a_ranker_that_avoids_the_right_one_is_found() -> None:
    """To foresee less than chance takes knowing too."""

    def last_is_right(_learned: object, _chosen: object) -> Scorer:
        return lambda exposure: np.arange(len(exposure.features)) != exposure.target

    drawn = relabelled(exposures(200), rng())
    assert check_random_labels(drawn, last_is_right, rng()).passed is False


def test_labels_are_drawn_evenly() -> None:
    """Each of four candidates is right in about a quarter; bound: 5 standard errors."""
    drawn = [each.target for each in relabelled(exposures(2_000, candidates=4), rng())]
    counts = np.bincount(drawn, minlength=4)
    assert (abs(counts - 500) < 5 * np.sqrt(2_000 * 3 / 16)).all()


def test_few_exposures_prove_nothing() -> None:
    """None, or none with a choice, or too few of them."""
    for drawn in ([], relabelled(exposures(50, candidates=1), rng()), exposures(40)):
        assert check_random_labels(drawn, Fitted, rng()).passed is None
