"""People are counted, not events: what a user adds to an item within a window, and no more."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import (
    EVENT_TYPES,
    TREND_WEIGHT,
    TYPE_CODES,
)
from freshet.core.settings import Settings
from freshet.core.state.records import HISTORY_LENGTH, OLDER_KEPT, unpack_users
from replay.chaos.user_truth import UserTruth
from streams.deltas import ADDS_PERSON, ADDS_RATE
from streams.item_vectors import NO_VECTORS
from streams.user_fold import UserFold, fold_users
from streams.user_fold_rows import (
    EVENT_DTYPE,
    rules,
)
from streams.user_packing import pack_users

WINDOW_S = 1_000
START_S = 1_700_000_000
RULES = rules(Settings(covisit_distance=2, contribution_window_s=WINDOW_S))
CLICK, IMPRESSION = TYPE_CODES["click"], TYPE_CODES["impression"]
Row = tuple[int, int, int]
"""Type, item, seconds since the start."""


def events_of(log: list[Row], first: int = 0, user: int = 0) -> np.ndarray:
    events = np.zeros(len(log), EVENT_DTYPE)
    events["offset"] = first + np.arange(len(log))
    events["event"] = 1 + events["offset"]
    events["user"] = user
    if log:
        events["type"], events["item"], ts_s = zip(*log, strict=True)
        events["ts_ms"] = 1000 * (START_S + np.array(ts_s, np.int64))
        events["log_ts_ms"] = events["ts_ms"].max()
    return events


def fold(log: list[Row], fold_rules: np.ndarray = RULES) -> UserFold:
    """Fold the log of one user."""
    users = unpack_users([None])
    return fold_users(users, events_of(log), np.zeros(1, np.int64), NO_VECTORS, fold_rules)


def added(found: UserFold, log: list[Row], item: int) -> tuple[int, int, int]:
    """What the log added to an item: to its trend, its people, its clicks or impressions."""
    mine = found.activity[[row[1] == item for row in log]]
    adds = mine["adds"]
    return (
        int(mine["weight"].sum()),
        int((adds & ADDS_PERSON != 0).sum()),
        int((adds & ADDS_RATE != 0).sum()),
    )


rows = st.tuples(
    st.integers(0, len(EVENT_TYPES) - 1) | st.sampled_from([CLICK, IMPRESSION]),
    st.integers(0, 5) | st.integers(0, 400),
    # mostly on, sometimes far back, sometimes beyond the end of a window
    st.integers(0, 5) | st.sampled_from([-3_000, -900, 400, 999, 1_000]),
)


def as_log(drawn: list[Row]) -> list[Row]:
    """Rows whose times go on from one another."""
    log, now_s = [], 0
    for kind, item, step_s in drawn:
        now_s += max(step_s, 0)
        log.append((kind, item, now_s + min(step_s, 0)))
    return log


@settings(max_examples=150, deadline=None)
@given(st.lists(rows, max_size=120), st.integers(1, 12), st.integers(1, 6))
def test_what_is_added_is_what_the_slow_twin_adds(
    drawn: list[Row], repeats: int, parts: int
) -> None:
    """In any batches: trend, people, rates, transitions, and what was held back."""
    log = as_log((drawn * repeats)[:600])
    twin, expected, pairs, newest_s = UserTruth(WINDOW_S), [], [], 0
    held = 0
    for kind, item, ts_s in log:
        added = twin.take(kind, str(item), START_S + ts_s, newest_s)
        newest_s = max(newest_s, START_S + ts_s)
        expected.append((added.weight, added.adds))
        pairs += [(int(previous), int(after), far) for previous, after, far in added.pairs]
        held += added.held_pairs
    users, found, covisits, marks = unpack_users([None]), [], [], np.zeros(1, np.int64)
    held_pairs = 0
    for part in np.array_split(np.arange(len(log)), parts):
        some = events_of([log[at] for at in part], int(part[0]) if len(part) else 0)
        made = fold_users(users, some, marks, NO_VECTORS, RULES)
        marks = made.watermarks_ms
        users = unpack_users(pack_users(users).values())  # as Redis would give it back
        held_pairs += int(made.totals["held_transitions"].sum())
        found += made.activity[["weight", "adds"]].tolist()
        covisits += made.covisits[["previous", "next", "distance"]].tolist()
    assert found == expected
    assert covisits == pairs
    assert held_pairs == held


def fillers(item: int, others: int, times: int) -> list[Row]:
    """An item again and again, with so many others in between."""
    items = [item if at % (others + 1) == 0 else 1_000 + at % (others + 1) for at in range(times)]
    return [(CLICK, each, at // 5) for at, each in enumerate(items)]


@pytest.mark.parametrize("others", [0, 1, 3, 49, 50, 99, 300])
def test_one_user_counts_once_however_they_click(others: int) -> None:
    """1,200 clicks in 4 minutes: alone, alternating, and with fillers that fill the history."""
    log = fillers(7, others, 1_200)
    assert added(fold(log), log, 7) == (1, 1, 1)


def test_one_user_counts_once_whatever_the_types_are() -> None:
    """Together as much as the strongest alone."""
    kinds = [kind for kind in range(len(EVENT_TYPES)) if kind != IMPRESSION]
    log = [(kinds[at % len(kinds)], 7, at) for at in range(500)]
    assert added(fold(log), log, 7) == (int(TREND_WEIGHT.max()), 1, 1)


def test_500_purchases_are_one() -> None:
    """In one request, at one time."""
    log = [(TYPE_CODES["purchase"], 7, 0)] * 500
    assert added(fold(log), log, 7) == (2, 1, 0)
    assert fold(log).totals["held_interactions"].tolist() == [499]


@pytest.mark.parametrize(("others", "most"), [(0, 1), (1, 1), (3, 1), (4, 14), (9, 8), (49, 3)])
def test_one_user_cannot_sink_the_click_rate_of_an_item(others: int, most: int) -> None:
    """1,200 impressions add a handful, and what is held back is counted."""
    log = [(IMPRESSION, item, ts_s) for _, item, ts_s in fillers(7, others, 1_200)]
    found = fold(log)
    assert 1 <= added(found, log, 7)[2] <= most
    counted = int((found.activity["adds"] == ADDS_RATE).sum())
    assert found.totals["held_impressions"].tolist() == [1_200 - counted]


def test_times_that_are_made_up_give_two_windows_at_most() -> None:
    """Days, months and years back: the window is at the edge of what the partition has seen."""
    users, marks = unpack_users([None]), np.array([1000 * START_S])
    log = [(CLICK, 7, -86_400 * back) for back in range(1_000, 0, -1)]
    events = events_of(log)
    events["log_ts_ms"] = 1000 * START_S
    found = fold_users(users, events, marks, NO_VECTORS, RULES)
    assert added(found, log, 7)[1] == 1
    last = events_of([(CLICK, 7, 0)], first=5_000)
    again = fold_users(users, last, found.watermarks_ms, NO_VECTORS, RULES)
    assert added(again, [(CLICK, 7, 0)], 7)[1] == 1


def test_the_window_ends_to_the_second() -> None:
    """And what stood in it counts again."""
    log = [(CLICK, 7, 0), (CLICK, 7, WINDOW_S - 1), (CLICK, 7, WINDOW_S)]
    assert fold(log).activity["weight"].tolist() == [1, 0, 1]


def test_without_a_window_every_event_adds() -> None:
    """As the setting says."""
    log = [(CLICK, 7, at // 2) for at in range(100)] + [(IMPRESSION, 7, 0)] * 5
    assert added(fold(log, rules(Settings(contribution_window_s=0))), log, 7) == (100, 100, 105)


def test_a_rejection_adds_nothing_and_hides_nothing() -> None:
    """A hide makes nobody popular; a click after it is the first one."""
    log = [(TYPE_CODES["hide"], 7, 0), (CLICK, 7, 1)]
    assert fold(log).activity[["weight", "adds"]].tolist() == [(0, 0), (1, ADDS_PERSON | ADDS_RATE)]


def test_transitions_of_one_user_count_once() -> None:
    """Two items in turn, 600 times each, are four transitions and their returns."""
    log = [(CLICK, 7 + at % 2, at) for at in range(900)]
    found = fold(log)
    pairs = Counter(found.covisits[["previous", "next"]].tolist())
    assert pairs == {(7, 8): 1, (8, 7): 1, (7, 7): 1, (8, 8): 1}
    assert found.totals["held_transitions"].tolist() == [2 * 900 - 3 - 4]


def test_who_does_a_lot_stops_adding_before_their_marks_end() -> None:
    """No memory, no count: the marks bound what an account adds in all."""
    log = [(CLICK, at, at // 5) for at in range(1_000)]
    found = fold(log)
    assert int(found.activity["weight"].sum()) == HISTORY_LENGTH + OLDER_KEPT
    assert found.totals["held_interactions"].tolist() == [1_000 - HISTORY_LENGTH - OLDER_KEPT]
