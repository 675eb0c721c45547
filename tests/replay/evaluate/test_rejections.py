"""What is asked about rejections: before them, of items that are new, and with the last word."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from freshet.core.events.schema import TYPE_CODES, Event, Item
from online_models.training.histories import Histories
from online_models.training.log import TARGET, TrainingLog, build_log
from replay.evaluate.rejections import (
    FeedbackSlate,
    RejectionRequest,
    feedback_slates,
    rejected_rows,
    rejection_requests,
)

MIDNIGHT_MS = 1_764_028_800_000

Rows = list[tuple[int, str, int, float]]
"""User, type, item, hour."""


@pytest.fixture
def make_log(click_log: Callable[..., TrainingLog]) -> Callable[[Rows], TrainingLog]:
    """`make_log([(user, type, item, hour), ...])`, of nine items."""

    def make(rows: Rows) -> TrainingLog:
        users, kinds, items, hours = zip(*rows, strict=True)
        log = click_log([Item(item_id=str(row)) for row in range(9)], users, items, [0] * len(rows))
        ts_ms = (log.ts_ms + 3_600_000 * np.array(hours)).astype(np.int64)
        return replace(log, kind=np.array([TYPE_CODES[kind] for kind in kinds]), ts_ms=ts_ms)

    return make


def requests(log: TrainingLog, start: int = 0, most: int = 9) -> list[RejectionRequest]:
    return rejection_requests(log, Histories(log), start, len(log), most)


def slates(log: TrainingLog, start: int = 0, most: int = 9) -> list[FeedbackSlate]:
    return feedback_slates(log, Histories(log), start, len(log), most)


def test_no_rejection_is_a_target() -> None:
    """Whatever a list holds of them, it is no hit."""
    assert not TARGET[[TYPE_CODES[name] for name in ("hide", "dislike", "report", "skip")]].any()


def test_few_stars_are_a_rejection_and_no_target() -> None:
    """A list that holds what is then rated so has no hit, but an item that it should not hold."""
    events = [
        Event(event_id=f"e{n}", type="rating", user_id=f"u{n % 7}", item_id=f"i{n}",
              ts_ms=MIDNIGHT_MS + n, value=1 + n % 5)
        for n in range(400)
    ]  # fmt: skip
    log = build_log(events, [], low_rating=2.0)
    rejected = [request.event for request in requests(log, most=400)]
    assert rejected == [n for n in range(400) if events[n].value in (1, 2)]
    targets = Histories(log).requests(0, len(log), 400).tolist()
    assert targets == [n for n in range(400) if events[n].value not in (1, 2)]
    with_all = build_log(events, [], low_rating=0.5)
    assert requests(with_all, most=400) == []


def test_lists_are_asked_for_before_what_was_shown_is_rejected(
    make_log: Callable[[Rows], TrainingLog],
) -> None:
    """At the impression that the rejection answers; by itself where there is none."""
    log = make_log(
        [
            (0, "click", 1, 0),
            (0, "impression", 2, 1),
            (0, "impression", 3, 1),
            (0, "hide", 3, 1.1),
            (1, "dislike", 4, 2),
            (0, "report", 5, 3),
            (0, "like", 6, 4),
        ]
    )
    assert requests(log) == [(3, 1), (4, 4), (5, 5)]
    assert requests(log, start=4) == [(4, 4), (5, 5)]
    assert requests(log, most=1) == [(3, 1)]


def test_what_was_acted_on_lately_is_hidden_anyway(
    make_log: Callable[[Rows], TrainingLog],
) -> None:
    """So nobody is asked about it: no list would hold it."""
    assert requests(make_log([(0, "click", 1, 0), (0, "hide", 1, 1), (1, "hide", 1, 2)])) == [
        (2, 2)
    ]


def test_the_last_word_on_an_item_counts() -> None:
    """A later like takes a hide back, a later click does not."""
    history = [("click", 1), ("like", 2), ("hide", 1), ("hide", 2), ("dislike", 3), ("like", 3)]
    items = np.array([item for _, item in history])
    types = np.array([TYPE_CODES[kind] for kind, _ in history])
    assert rejected_rows(items, types).tolist() == [1, 3]
    assert rejected_rows(items[:0], types[:0]).tolist() == []


def test_what_is_accepted_and_rejected_within_a_day_is_compared(
    make_log: Callable[[Rows], TrainingLog],
) -> None:
    """Before the first of it, of each user by themselves, items that are new to them."""
    log = make_log(
        [
            (0, "click", 1, 0),
            (0, "like", 2, 1),
            (1, "hide", 7, 2),
            (0, "hide", 3, 3),
            (0, "like", 1, 4),  # clicked on before
            (0, "rating", 5, 30),  # of another day, on which nothing is rejected
            (2, "like", 5, 31),
            (2, "like", 6, 31),
            (2, "dislike", 6, 32),
        ]
    )
    first, second = slates(log)
    assert (first.asked_at, first.slate.event, first.slate.closed_at) == (1, 1, 5)
    assert first.slate.items.tolist() == [2, 3]
    assert first.slate.clicked.tolist() == [True, False]
    assert second.slate.items.tolist() == [5, 6]
    assert second.slate.clicked.tolist() == [True, False]
    assert [each.asked_at for each in slates(log, start=2)] == [6]
    assert [each.asked_at for each in slates(log, most=1)] == [1]
