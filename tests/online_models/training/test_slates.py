"""What was shown at one time is one slate, and a click answers the newest impression before it."""

from collections.abc import Sequence

import numpy as np
import pytest

from freshet.core.events.schema import CLICK, IMPRESSION, Event
from online_models.training.histories import Histories
from online_models.training.log import LEAST_TARGETS, TrainingLog, build_log
from online_models.training.slates import Slate, Slates
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.world import Plan

START_MS = 1_760_054_400_000
OPEN_S = 1_800

Row = tuple[float, str, str, str]


def slates_of(rows: Sequence[Row]) -> tuple[Slates, TrainingLog]:
    """Slates of (seconds, user, type, item); views of nobody, before all, make the log long."""
    padding = [(0.0, "nobody", "view", f"p{number}") for number in range(LEAST_TARGETS)]
    events = [
        Event(
            event_id=f"e{number}",
            user_id=user,
            type=kind,  # type: ignore[arg-type]
            item_id=item,
            ts_ms=START_MS + int(1000 * second),
        )
        for number, (second, user, kind, item) in enumerate([*padding, *rows])
    ]
    log = build_log(events, [])
    return Slates(log, Histories(log)), log


def told(slate: Slate, log: TrainingLog) -> tuple[str, int, dict[str, bool]]:
    """A slate in words: whose, at which second asked for, and what of it was clicked on."""
    names = [log.items[row].item_id for row in slate.items.tolist()]
    second = int(log.ts_ms[slate.asked_at] - START_MS) // 1000
    user = ["nobody", "ann", "bob"][log.user[slate.event]]
    return user, second, dict(zip(names, slate.clicked.tolist(), strict=True))


END: Row = (20_000, "nobody", "view", "end")


def test_a_log_without_impressions_has_no_slates() -> None:
    """Clicks alone answer nothing."""
    slates, log = slates_of([(1, "ann", "click", "a"), END])
    assert slates.between(0, len(log), 10) == []
    assert len(slates.impressions) == len(slates.clicks) == 0


def test_slates_are_told_apart_by_user_and_time() -> None:
    """And stand in the order of time; what stands twice in one counts once."""
    slates, log = slates_of(
        [
            (10, "ann", "impression", "a"),
            (10, "bob", "impression", "a"),
            (10, "ann", "impression", "b"),
            (10, "ann", "impression", "b"),
            (30, "ann", "impression", "a"),
            END,
        ]
    )
    assert [told(each, log) for each in slates.between(0, len(log), 10)] == [
        ("ann", 10, {"a": False, "b": False}),
        ("bob", 10, {"a": False}),
        ("ann", 30, {"a": False}),
    ]
    assert len(slates.impressions) == 4


def test_a_click_answers_the_newest_impression_within_half_an_hour() -> None:
    """Of the same user and item; a second one adds nothing, and no other event is a click."""
    slates, log = slates_of(
        [
            (10, "ann", "impression", "a"),
            (20, "ann", "impression", "a"),
            (21, "ann", "click", "a"),
            (22, "ann", "click", "a"),
            (30, "ann", "impression", "b"),
            (31, "bob", "click", "b"),
            (32, "ann", "like", "b"),
            (40, "bob", "impression", "b"),
            (40 + OPEN_S + 1, "bob", "click", "b"),
            END,
        ]
    )
    assert [told(each, log) for each in slates.between(0, len(log), 10)] == [
        ("ann", 10, {"a": False}),
        ("ann", 20, {"a": True}),
        ("ann", 30, {"b": False}),
        ("bob", 40, {"b": False}),
    ]
    assert len(slates.clicks) == 1
    assert log.ts_ms[slates.clicks[0]] == START_MS + 21_000


def test_what_became_of_a_slot_is_what_its_events_say() -> None:
    """What follows a click needs one; a rejection does not; neither does a skip count."""
    slates, log = slates_of(
        [
            *[(10.0, "ann", "impression", item) for item in "abcde"],
            (11, "ann", "click", "a"),
            (12, "ann", "like", "a"),
            (13, "ann", "hide", "b"),
            (14, "ann", "like", "c"),
            (15, "ann", "skip", "d"),
            (16, "ann", "click", "e"),
            (17, "ann", "report", "e"),
            (18, "bob", "hide", "a"),
            (19 + OPEN_S, "ann", "hide", "c"),
            END,
        ]
    )
    (slate,) = slates.between(0, len(log), 10)
    assert slate.labels.tolist() == [
        [True, False, True, False],
        [False, False, False, True],
        [False, False, False, False],
        [False, False, False, False],
        [True, False, False, True],
    ]


def test_a_slate_is_asked_for_before_everything_at_its_time() -> None:
    """Even before what stands in front of it in the file."""
    slates, log = slates_of(
        [(9, "bob", "view", "a"), (10, "bob", "view", "b"), (10, "ann", "impression", "a"), END]
    )
    (slate,) = slates.between(0, len(log), 10)
    assert slate.asked_at == len(log) - 3
    assert slate.event == len(log) - 2


def test_a_slate_whose_clicks_may_be_behind_the_end_is_left_out() -> None:
    """One that closes at the very end is not."""
    rows: list[Row] = [(10, "ann", "impression", "a"), (11, "ann", "impression", "a")]
    slates, log = slates_of([*rows, (10 + OPEN_S, "nobody", "view", "end")])
    assert [told(each, log)[1] for each in slates.between(0, len(log), 10)] == [10]
    assert slates.between(0, len(log) - 1, 10) == []


def test_a_slate_is_closed_before_the_first_event_that_no_click_can_follow() -> None:
    """What happens in its last moment may be a click on it."""
    moment = (10 + OPEN_S, "nobody", "view", "then")
    slates, log = slates_of([(10, "ann", "impression", "a"), moment, END])
    (slate,) = slates.between(0, len(log), 10)
    assert slate.closed_at == len(log) - 1


def test_slates_are_evenly_spread_from_where_they_count() -> None:
    """None before; the first and the last of them among the chosen."""
    rows: list[Row] = [(second, "ann", "impression", "a") for second in range(1, 101)]
    slates, log = slates_of([*rows, END])
    start = int(np.searchsorted(log.ts_ms, START_MS + 11_000))
    seconds = [told(each, log)[1] for each in slates.between(start, len(log), 4)]
    assert seconds == [11, 40, 70, 100]
    assert slates.between(start, len(log), 0) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_a_generated_log_says_itself_what_was_clicked(seed: int) -> None:
    """Each of its clicks has an impression of the same slate; counted the slow way."""
    plan = Plan(users=80, items=30, days=2, seed=seed)
    world, rows = generate(plan)
    log = build_log(to_events(plan, rows), to_items(plan, world))
    expected = {
        (int(user), int(item), int(shown))
        for user, item, ts_ms, kind in zip(log.user, log.item, log.ts_ms, log.kind, strict=True)
        if kind == CLICK
        for shown in [last_shown(log, user, item, ts_ms)]
    }
    slates = Slates(log, Histories(log)).between(0, len(log), len(log))
    open_from = log.ts_ms[-1] - 1000 * OPEN_S
    assert {each for each in expected if each[2] <= open_from} == {
        (int(log.user[slate.event]), int(item), int(log.ts_ms[slate.event]))
        for slate in slates
        for item in slate.items[slate.clicked]
    }


def last_shown(log: TrainingLog, user: int, item: int, ts_ms: int) -> int:
    """When an item was last shown to a user, up to a time."""
    mine = (log.user == user) & (log.item == item) & (log.kind == IMPRESSION)
    return int(log.ts_ms[mine & (log.ts_ms <= ts_ms)].max())
