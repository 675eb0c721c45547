"""Rows of slates or of exposures: each task on the rows where it counts, of one population."""

import numpy as np
import pytest

from online_models.features import FEATURES, SOURCES
from online_models.tasks import NEGATIVE, TASKS
from online_models.training.calibration import LEAST_LABELS
from online_models.training.exposures import Exposure
from online_models.training.labelled_rows import LabelledRows, Population
from online_models.training.labels import NEVER
from online_models.training.shown import Shown

pytestmark = pytest.mark.training

NOTHING = [False] * len(TASKS)
CLICKED = [True, *[False] * (len(TASKS) - 1)]


def shown(n: int, *, clicked: bool, value: int = 0) -> Shown:
    labels = np.repeat([CLICKED if clicked else NOTHING], n, axis=0)
    return Shown(0, np.full((n, len(FEATURES)), value, np.float16), labels)


def exposure(target: int, followed_at: tuple[int, ...] = (NEVER,) * 3, n: int = 4) -> Exposure:
    """Candidates whose features are their number."""
    features = np.repeat(np.arange(n)[:, None], len(FEATURES), axis=1).astype(np.float16)
    return Exposure(9, target, features, np.zeros((n, len(SOURCES)), np.int16), followed_at)


def test_rows_are_those_of_all_slates() -> None:
    """In their order, with the number of their slate; none of none."""
    rows = LabelledRows.of_shown([shown(2, clicked=True, value=3), shown(1, clicked=False)])
    assert rows.features[:, 0].tolist() == [3, 3, 0]
    assert rows.clicked.tolist() == [True, True, False]
    assert rows.slates.tolist() == [0, 0, 1]
    assert rows.rows[:, 1].tolist() == [True, True, False]
    assert len(LabelledRows.of_shown([])) == len(LabelledRows.of_candidates([])) == 0


def test_few_of_a_kind_teach_nothing() -> None:
    """Neither clicks alone nor their absence does."""
    many, few = LEAST_LABELS, LEAST_LABELS - 1
    for clicked, rest, expected in ((many, many, True), (few, many, False), (many, 0, False)):
        slates = [shown(clicked, clicked=True), shown(rest, clicked=False)]
        assert LabelledRows.of_shown(slates).learnable == [expected, False, False, False]


def test_all_candidates_count_for_clicks_and_the_targets_for_the_rest() -> None:
    """Also those of a request whose target was not found: nobody acted on any of them."""
    found = [exposure(2, (12, NEVER, NEVER)), exposure(-1, (12, 13, 14))]
    rows = LabelledRows.of_candidates(found)
    assert rows.clicked.tolist() == [False, False, True, False] + [False] * 4
    assert rows.rows[:, 0].all()
    for task in range(1, len(TASKS)):
        assert rows.rows[:, task].nonzero().flatten().tolist() == [2]
    assert rows.labels[2].tolist() == [True, True, False, False]


def test_a_rejected_target_says_nothing_of_clicks() -> None:
    """It is one row, of the responses that reject; one that was not found is none."""
    rows = LabelledRows.of_candidates([exposure(1)], [exposure(3), exposure(-1)])
    assert len(rows) == 4 + 1
    assert rows.features[4, 0] == 3
    assert rows.labels[4].tolist() == rows.rows[4].tolist() == [False, False, False, True]
    assert rows.of_task(NEGATIVE)[1].tolist() == [False, True]
    targets = LabelledRows.of_targets([exposure(1), exposure(-1)], [exposure(3)])
    assert targets.features[:, 0].tolist() == [1, 3]


def test_all_tasks_are_of_one_population() -> None:
    """Slates where clicks can be learned from in both parts; else exposures, whatever is there."""
    exposures = [exposure(1)] * 40
    enough = [shown(LEAST_LABELS, clicked=True), shown(LEAST_LABELS, clicked=False)]
    both = Population.of(exposures, exposures, enough, enough)
    assert both.on_shown
    assert len(both.early) == len(both.late) == 2 * LEAST_LABELS
    for early, late in ((enough, enough[:1]), (enough[:1], enough), ([], [])):
        lists = Population.of(exposures, exposures, early, late)
        assert not lists.on_shown
        assert (len(lists.early), len(lists.late)) == (40, 160)
