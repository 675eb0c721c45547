"""Counts are those of the events that have happened, or of the newest of them."""

from collections.abc import Callable

import numpy as np
import pytest

from freshet.core.events.schema import Item
from online_models.training.log import TrainingLog
from replay.evaluate.item_counts import ItemCounts

ROWS = [0, 1, 1, 2, 0, 1, 1, 0]


@pytest.fixture
def log(click_log: Callable[..., TrainingLog]) -> TrainingLog:
    """Eight clicks on three items."""
    items = [Item(item_id=str(number)) for number in range(3)]
    return click_log(items, [0] * len(ROWS), ROWS, range(len(ROWS)))


@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize("ends", [range(9), [0, 4, 4, 8], [8]])
def test_steps_and_leaps_count_alike(log: TrainingLog, window: int | None, ends: list[int]) -> None:
    """Of the events that count, and of no others."""
    events = np.array([0, 1, 2, 4, 5, 7])
    counts = ItemCounts(log, events, window)
    for end in ends:
        counts.learn(end)
        happened = [ROWS[event] for event in events if event < end]
        kept = happened if window is None else happened[-window:]
        assert counts.of_item.tolist() == [kept.count(row) for row in range(3)]
        assert counts.learned == len(happened)


def test_no_event_counts(log: TrainingLog) -> None:
    """Nothing is counted."""
    counts = ItemCounts(log, np.empty(0, np.int64))
    counts.learn(8)
    assert counts.of_item.tolist() == [0, 0, 0]
