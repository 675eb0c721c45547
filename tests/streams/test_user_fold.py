"""The user fold: exact counts, the same bytes in any batches, and a slow twin that agrees."""

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import EVENT_TYPES, INTERACTION, PREFERENCE, TYPE_CODES, VISIT
from freshet.core.settings import Settings
from freshet.core.state.records import (
    HISTORY_LENGTH,
    RECENT_EVENT_IDS,
    Records,
    applied_events,
    history_newest_first,
    interactions,
    last_event,
    unpack_users,
)
from online_models.maths.session import SESSION_EVENTS, direction, quantized, session_sum
from streams.item_vectors import NO_VECTORS, VectorTable, vector_table
from streams.user_embedding import row_of
from streams.user_fold import fold_users
from streams.user_fold_rows import EVENT_DTYPE, VISIT_LOOKBACK, rules

RULES = rules(Settings(covisit_distance=2, session_half_life_s=600, contribution_window_s=0))
Row = tuple[int, int, int, int]  # user, type, item, event id

log_rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        # many dwells, so that visits are often far apart
        st.integers(0, len(EVENT_TYPES) - 1) | st.just(TYPE_CODES["dwell"]),
        st.integers(0, 6),
        st.integers(1, 90),
    ),
    max_size=150,
)


def some_vectors(items: int = 7) -> VectorTable:
    """A vector for each of the first items but one."""
    hashes = np.delete(np.arange(items, dtype=np.uint32), 5)
    rng = np.random.default_rng(0)
    return vector_table(7, hashes, rng.normal(size=(len(hashes), 64)).astype(np.float32))


VECTORS = some_vectors()
NO_MARKS = np.zeros(1, np.int64)


def events_of(log: list[Row], first: int = 0) -> np.ndarray:
    """The events of a log as the fold takes them."""
    events = np.zeros(len(log), EVENT_DTYPE)
    events["offset"] = first + np.arange(len(log))
    events["ts_ms"] = events["log_ts_ms"] = 1_700_000_000_000 + 1000 * events["offset"]
    if log:
        events["user"], events["type"], events["item"], events["event"] = zip(*log, strict=True)
    return events


def fold_log(log: list[Row], parts: int = 1) -> tuple[Records, list[tuple], list[tuple]]:
    """Fold a log in so many batches; return users, activity rows and covisit rows."""
    users = unpack_users([None] * 3)
    activity, covisits = [], []
    for part in np.array_split(np.arange(len(log)), parts):
        if not len(part):
            continue
        events = events_of([log[i] for i in part], int(part[0]))
        fold = fold_users(users, events, NO_MARKS, VECTORS, RULES)
        activity += fold.activity.tolist()
        covisits += fold.covisits.tolist()
    return users, activity, covisits


def accepted_one_by_one(log: list[Row]) -> list[tuple[int, Row]]:
    """The slow twin of the duplicate check."""
    recent = [deque(maxlen=RECENT_EVENT_IDS) for _ in range(3)]
    kept = []
    for offset, row in enumerate(log):
        if row[3] not in recent[row[0]]:
            recent[row[0]].append(row[3])
            kept.append((offset, row))
    return kept


@settings(max_examples=150)
@given(log_rows, st.integers(1, 9))
def test_the_batches_do_not_matter(log: list[Row], parts: int) -> None:
    """State, activity and transitions are the same bytes in one batch or in many."""
    one, one_activity, one_covisits = fold_log(log)
    many, many_activity, many_covisits = fold_log(log, parts)
    assert one.tobytes() == many.tobytes()
    assert one_activity == many_activity
    assert one_covisits == many_covisits


@settings(max_examples=150)
@given(log_rows)
def test_every_event_counts_once(log: list[Row]) -> None:
    """Counts, history and last event are those of the slow twin."""
    users, activity, _ = fold_log(log)
    kept = accepted_one_by_one(log)
    assert [row[1] for row in activity] == [offset for offset, _ in kept]
    for user in range(3):
        mine = [(offset, row) for offset, row in kept if row[0] == user]
        counts = [sum(row[1] == code for _, row in mine) for code in range(len(EVENT_TYPES))]
        assert users[user]["type_counts"].tolist() == counts
        assert applied_events(users[user]) == len(mine)
        past = [row[2] for _, row in mine if INTERACTION[row[1]]]
        newest = history_newest_first(users[user])["item"].tolist()
        assert newest == past[::-1][:HISTORY_LENGTH]
        if mine:
            assert last_event(users[user]) == mine[-1][1][3]


@settings(max_examples=150)
@given(log_rows)
def test_transitions_are_those_of_the_slow_twin(log: list[Row]) -> None:
    """Directional, up to two visits back, and a visit going on is no transition."""
    _, _, covisits = fold_log(log)
    expected = []
    past: list[list[tuple[int, int]]] = [[], [], []]
    for offset, (user, kind, item, _) in accepted_one_by_one(log):
        if VISIT[kind]:
            near = past[user][-VISIT_LOOKBACK:]
            visits = [entry for entry in near if VISIT[entry[0]]][::-1]
            for distance, (old_kind, old_item) in enumerate(visits[:2], start=1):
                if old_item != item or old_kind == kind:
                    expected.append((offset, old_item, item, distance))
        if INTERACTION[kind]:
            past[user].append((kind, item))
    assert [(row[1], row[2], row[3], row[6]) for row in covisits] == expected


def test_an_impression_counts_but_is_no_history() -> None:
    """It would push out what the user did."""
    users, activity, covisits = fold_log([(0, TYPE_CODES["impression"], 3, 1)])
    assert applied_events(users[0]) == 1
    assert interactions(users[0]) == 0
    assert len(activity) == 1
    assert covisits == []


def test_a_click_turns_the_embedding_towards_the_item() -> None:
    """And the record says by which bundle."""
    users, _, _ = fold_log([(0, TYPE_CODES["click"], 3, 1)])
    item = VECTORS.vectors[3]
    cosine = direction(users[0]["embedding"]) @ item / np.linalg.norm(item)
    assert cosine > 0.999
    assert users[0]["model_tag"] == 7


def test_the_segment_is_the_one_before_the_event() -> None:
    """The first click of a user is a click of a new user."""
    _, activity, _ = fold_log([(0, TYPE_CODES["click"], i, i + 1) for i in range(6)])
    assert [row[4] for row in activity] == [0, 1, 1, 1, 1, 2]


@settings(max_examples=50)
@given(log_rows)
def test_the_embedding_is_the_one_of_the_maths(log: list[Row]) -> None:
    """Of the newest interactions, to the last step of the bytes that keep it."""
    users, _, _ = fold_log(log)
    for user in users:
        history = history_newest_first(user)[:SESSION_EVENTS]
        if not len(history):
            continue
        rows = [row_of(int(item), *VECTORS[1:4]) for item in history["item"]]
        found = np.array([VECTORS.vectors[row] if row >= 0 else np.zeros(64) for row in rows])
        ages_s = int(user["history_ts_s"]) - history["ts_s"].astype(np.int64)
        total = session_sum(
            found[None].astype(np.float32), PREFERENCE[history["type"]][None], ages_s[None], 600
        )
        assert np.abs(user["embedding"] - quantized(total)[0].astype(int)).max() <= 1


def test_another_bundle_is_taken_up_at_the_next_event() -> None:
    """And without one, the embedding is none."""
    users, _, _ = fold_log([(0, TYPE_CODES["click"], 3, 1), (1, TYPE_CODES["click"], 4, 2)])
    impression = events_of([(0, TYPE_CODES["impression"], 3, 9)], first=2)
    fold_users(users, impression, NO_MARKS, VECTORS._replace(tag=8), RULES)
    assert users["model_tag"].tolist() == [8, 7, 0]
    impression["event"] = 10
    fold_users(users, impression, NO_MARKS, NO_VECTORS, RULES)
    assert users["model_tag"].tolist() == [0, 7, 0]
    assert not users["embedding"][0].any()


@given(st.integers(0, 2**32 - 2))
def test_a_gap_is_exact_or_within_four_in_a_thousand(gap_s: int) -> None:
    """Up to 255 s, and above."""
    users = unpack_users([None])
    events = events_of([(0, TYPE_CODES["click"], 1, 1), (0, TYPE_CODES["click"], 2, 2)])
    events["ts_ms"] = events["log_ts_ms"] = [1000, 1000 * (1 + gap_s)]
    fold_users(users, events, NO_MARKS, VECTORS, RULES)
    new, old = history_newest_first(users[0])["ts_s"].astype(int)
    assert new == 1 + gap_s
    assert new - old == gap_s if gap_s < 256 else abs(new - old - gap_s) <= 0.004 * gap_s


hashes = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 5), max_size=60)


@given(hashes, hashes)
def test_rows_are_those_that_bisection_finds(known: list[int], asked: list[int]) -> None:
    """However unevenly the hashes lie, and -1 for what is not there."""
    table = np.unique(np.array(known, np.uint32))
    found = vector_table(1, table, np.zeros((len(table), 64), np.float32))
    for each in asked + known:
        row = int(np.searchsorted(table, each))
        expected = row if row < len(table) and table[row] == each else -1
        assert row_of(each, found.hashes, found.starts, found.shift) == expected
