"""Slates in a row: enough of both kinds teach."""

import numpy as np
import pytest

from online_models.features import FEATURES
from online_models.training.calibration import LEAST_LABELS
from online_models.training.shown import Shown
from online_models.training.shown_rows import ShownRows

pytestmark = pytest.mark.training


def shown(n: int, *, clicked: bool, value: int = 0) -> Shown:
    return Shown(0, np.full((n, len(FEATURES)), value, np.float16), np.full(n, clicked))


def test_rows_are_those_of_all_slates() -> None:
    """In their order; none of none."""
    rows = ShownRows.of([shown(2, clicked=True, value=3), shown(1, clicked=False, value=5)])
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
