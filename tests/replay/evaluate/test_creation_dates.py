"""A creation date behind the first event of its item is from the future, and is named."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from freshet.core.events.schema import Item
from online_models.training.log import TrainingLog
from replay.evaluate.creation_dates import check_creation_dates

HOUR_MS = 3_600_000


@pytest.fixture
def log(click_log: Callable[..., TrainingLog]) -> TrainingLog:
    """Eight items, one clicked on in each hour; the last is never acted on."""
    items = [Item(item_id=f"i{number}") for number in range(9)]
    return click_log(items, [0] * 8, range(8), range(8))


def dated(log: TrainingLog, late_h: dict[int, float]) -> TrainingLog:
    """Every item was created an hour before its click, but these so many hours behind it."""
    created = np.r_[log.ts_ms, log.ts_ms[-1]] - HOUR_MS
    for row, hours in late_h.items():
        created[row] = log.ts_ms[row] + int(hours * HOUR_MS)
    return replace(log, created_ts_ms=created)


def test_dates_that_precede_the_events_pass(log: TrainingLog) -> None:
    """So does a log without any, and a date at the very moment."""
    assert check_creation_dates(log, 0).passed
    assert check_creation_dates(dated(log, {}), 0).passed
    assert check_creation_dates(dated(log, {3: 0}), 0).passed


def test_a_single_late_date_fails(log: TrainingLog) -> None:
    """The item, how late it is, and what to do."""
    check = check_creation_dates(dated(log, {3: 2}), 0)
    assert check.passed is False
    assert check.found == (
        "1 of 9 dated items were acted on before created_ts_ms, by up to 2.0 h: i3. Correct "
        "created_ts_ms of these items in the items file, or leave it out, and judge again."
    )
    assert check.figures == {"items": 9, "late": 1}


def test_of_many_the_latest_are_named(log: TrainingLog) -> None:
    """Five of them."""
    check = check_creation_dates(dated(log, {row: 1 + row for row in range(8)}), 0)
    assert "8 of 9 dated items" in check.found
    assert "by up to 8.0 h: i7, i6, i5, i4, i3, ... Correct" in check.found


def test_a_date_that_had_passed_before_anything_counts_does_no_harm(log: TrainingLog) -> None:
    """It was late for requests that nobody made."""
    assert check_creation_dates(dated(log, {0: 1.5}), 2).passed
    assert check_creation_dates(dated(log, {0: 2.5}), 2).passed is False
