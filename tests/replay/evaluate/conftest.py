"""A judged run that is small enough to be reckoned by hand."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from freshet.core.events.schema import CLICK, Item
from online_models.training.log import TrainingLog
from replay.evaluate.outcome import Outcome
from replay.evaluate.request import LIST_LENGTH

MIDNIGHT_MS = 20_000 * 86_400_000
HOUR_MS = 3_600_000

Lists = Sequence[Sequence[int]]


def _click_log(
    items: list[Item], users: Sequence[int], rows: Sequence[int], hours: Sequence[int]
) -> TrainingLog:
    """Build a log of clicks."""
    return TrainingLog(
        items=items,
        hashes=np.arange(len(items), dtype=np.uint32),
        created_ts_ms=np.array([item.created_ts_ms or 0 for item in items], np.int64),
        user=np.array(users, np.int64),
        item=np.array(rows, np.int64),
        kind=np.full(len(rows), CLICK, np.int64),
        ts_ms=MIDNIGHT_MS + HOUR_MS * np.array(hours, np.int64),
        dwell_s=np.zeros(len(rows)),
        draw=np.arange(len(rows), dtype=np.uint32),
        n_users=max(users) + 1,
    )


def _padded(lists: Lists) -> np.ndarray:
    """Fill lists up with -1."""
    return np.array([[*each, *[-1] * (LIST_LENGTH - len(each))] for each in lists], np.int64)


def _tiny(lists: Mapping[str, Lists], baselines: Sequence[str]) -> Outcome:
    """Six clicks on four items; the last four are foreseen.

    Item 1 is in the catalogue before its first click, item 2 exists by its first click alone,
    and item 3 never. Items 0 and 1 are alike, item 2 is unlike both.
    """
    items = [
        Item(item_id="0", categories=["x"]),
        Item(item_id="1", categories=["x"], created_ts_ms=MIDNIGHT_MS),
        Item(item_id="2", categories=["y"]),
        Item(item_id="3"),
    ]
    log = _click_log(items, [0, 1, 1, 0, 2, 2], [0, 0, 1, 1, 2, 0], [0, 1, 7, 13, 19, 20])
    return Outcome(
        name="tiny",
        log=log,
        events=np.array([2, 3, 4, 5]),
        targets=np.array([1, 1, 2, 0]),
        history_lengths=np.array([1, 1, 0, 1]),
        target_counts=np.array([0, 1, 0, 2]),
        lists={name: _padded(each) for name, each in lists.items()},
        seconds=dict.fromkeys(lists, 2.0),
        baselines=list(baselines),
    )


PRODUCT_LISTS = [[1, 0], [0, 1], [0, 1], [0, 2]]  # ranks 0, 1, -1, 0
FIXED_LISTS: Lists = [[0], [1], [1], []]  # ranks -1, 0, -1, -1
SILENT_LISTS: Lists = [[], [], [], []]


@pytest.fixture
def outcome_of() -> Callable[..., Outcome]:
    """`outcome_of({contestant: lists of four requests}, baselines)`."""
    return _tiny


@pytest.fixture
def tiny() -> Outcome:
    """The product beside a fixed method and one that says nothing."""
    lists = {"silent": SILENT_LISTS, "fixed": FIXED_LISTS, "product": PRODUCT_LISTS}
    return _tiny(lists, ["silent", "fixed"])


@pytest.fixture
def click_log() -> Callable[..., TrainingLog]:
    """`click_log(items, users, rows, hours)`."""
    return _click_log
