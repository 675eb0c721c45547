"""What lists do to people who reject, reckoned by hand."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from freshet.core.events.schema import CLICK, TYPE_CODES, Item
from online_models.training.log import TrainingLog
from replay.evaluate.figures import Figures, figures
from replay.evaluate.impressions import Impressions
from replay.evaluate.outcome import Outcome
from replay.evaluate.rejection_figures import POPULARITY, rejection_figures
from replay.evaluate.rejections import Rejections
from replay.evaluate.request import LIST_LENGTH, PRODUCT

HIDE = TYPE_CODES["hide"]


def padded(lists: list[list[int]]) -> np.ndarray:
    return np.array([[*each, *[-1] * (LIST_LENGTH - len(each))] for each in lists], np.int64)


@pytest.fixture
def outcome(click_log: Callable[..., TrainingLog]) -> Outcome:
    """User 0 hides item 0 of category x, then visits 2 and 3; user 1 rejects nothing; 2 hides 4.

    Items 0 and 1 are of category x, 2 of x and y, 3 of y, 4 of none.
    """
    categories = [["x"], ["x"], ["x", "y"], ["y"], []]
    items = [Item(item_id=str(row), categories=names) for row, names in enumerate(categories)]
    log = click_log(items, [0, 0, 1, 0, 2, 2], [0, 2, 1, 3, 4, 1], range(6))
    log = replace(log, kind=np.array([HIDE, CLICK, CLICK, CLICK, HIDE, CLICK]))
    lists = {
        PRODUCT: padded([[3, 4], [1], [1, 3, 4, 2], [0]]),
        POPULARITY: padded([[1, 2], [1], [0, 1], [0]]),
    }
    return Outcome(
        name="hiding",
        log=log,
        events=np.array([1, 2, 3, 5]),
        targets=log.item[[1, 2, 3, 5]],
        history_lengths=np.zeros(4, np.int64),
        target_counts=np.arange(4),
        lists=lists,
        seconds=dict.fromkeys(lists, 1.0),
        baselines=[POPULARITY],
        rejections=Rejections(
            events=np.array([0, 4]),
            lists={PRODUCT: padded([[1, 2], [1, 4]]), POPULARITY: padded([[3], [1]])},
            feedback=Impressions(
                slates=2,
                not_offered=0,
                slate=np.array([0, 0, 1, 1]),
                users=np.array([0, 0, 2, 2]),
                ts_ms=np.zeros(4, np.int64),
                clicked=np.array([True, False, True, False]),
                scores={PRODUCT: np.array([0.1, 0.2, 0.8, 0.7])},
                probabilities=frozenset(),
            ),
        ),
    )


def test_a_list_that_holds_what_is_then_rejected_counts(outcome: Outcome) -> None:
    """The product's second list does: one of two."""
    found = rejection_figures(outcome)
    assert found is not None
    assert found.rejections == 2
    mine, theirs = found.rejected20
    assert (mine.contestant, mine.value.value, mine.gap) == (PRODUCT, 0.5, None)
    assert (theirs.value.value, theirs.gap and theirs.gap.value) == (0.0, 0.5)


def test_what_shares_a_category_with_what_was_rejected_counts(outcome: Outcome) -> None:
    """Of user 0 alone, whose item had a category: 0 of 2 and 2 of 4 items, all of popularity's."""
    found = rejection_figures(outcome)
    assert found is not None
    assert found.like_requests == 2
    mine, theirs = found.like_rejected20
    assert mine.value.value == 0.25
    assert theirs.value.value == 1.0
    assert theirs.gap is not None
    assert theirs.gap.value == -0.75


def test_accepted_items_are_compared_with_rejected_ones(outcome: Outcome) -> None:
    """One group is in order, one upside down."""
    found = rejection_figures(outcome)
    assert found is not None
    assert found.compared == 2
    assert [each.value.value for each in found.accepted_auc] == [0.5]


def test_without_rejections_there_is_nothing_to_say(outcome: Outcome) -> None:
    """Nor without categories of what was rejected."""
    log = replace(outcome.log, kind=np.full(6, CLICK))
    assert rejection_figures(replace(outcome, log=log, rejections=None)) is None
    bare = [Item(item_id=str(row)) for row in range(5)]
    found = rejection_figures(replace(outcome, log=replace(outcome.log, items=bare)))
    assert found is not None
    assert (found.like_requests, found.like_rejected20) == (0, [])


def test_the_figures_of_a_log_hold_them(outcome: Outcome) -> None:
    """Also as JSON."""
    found = figures(outcome)
    assert found.rejections == rejection_figures(outcome)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Figures) == found
