"""Slates in a row, and when they may be learned from."""

import numpy as np

from online_models.features import FEATURES
from online_models.training.calibration import LEAST_LABELS
from online_models.training.shown import Shown, ShownRows, closed_before


def shown(n: int, *, clicked: bool, closed_at: int = 0) -> Shown:
    features = np.full((n, len(FEATURES)), closed_at, np.float16)
    return Shown(closed_at, features, np.full(n, clicked))


def test_rows_are_those_of_all_slates() -> None:
    """In their order; none of none."""
    rows = ShownRows.of([shown(2, clicked=True, closed_at=3), shown(1, clicked=False, closed_at=5)])
    assert rows.features[:, 0].tolist() == [3, 3, 5]
    assert rows.clicked.tolist() == [True, True, False]
    assert len(ShownRows.of([])) == 0


def test_few_of_a_kind_teach_nothing() -> None:
    """Neither clicks alone nor their absence does."""
    many, few = LEAST_LABELS, LEAST_LABELS - 1
    assert ShownRows.of([shown(many, clicked=True), shown(many, clicked=False)]).learnable
    assert not ShownRows.of([shown(few, clicked=True), shown(many, clicked=False)]).learnable
    assert not ShownRows.of([shown(many, clicked=True)]).learnable
    assert not ShownRows.of([]).learnable


def test_a_slate_is_learned_from_once_it_is_closed() -> None:
    """By the event before which a training takes place."""
    slates = [shown(1, clicked=True, closed_at=at) for at in (3, 5, 7)]
    assert [each.closed_at for each in closed_before(slates, 5)] == [3, 5]
