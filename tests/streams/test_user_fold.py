"""The user fold: exact counts, the same bytes in any batches, and a slow twin that agrees."""

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.events.schema import EVENT_TYPES, INTERACTION, TYPE_CODES, VISIT
from freshet.core.state.records import (
    HISTORY_LENGTH,
    RECENT_EVENT_IDS,
    Records,
    applied_events,
    history_newest_first,
    interactions,
    last_event,
    pack_users,
    unpack_users,
)
from online_models.maths.session import direction
from streams.user_fold import VISIT_LOOKBACK, UserEvents, UserFoldOptions, fold_users

OPTIONS = UserFoldOptions(covisit_distance=2, session_half_life_s=600)
Row = tuple[int, int, int, int]  # user, type, item, event id

rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        # many dwells, so that visits are often far apart
        st.integers(0, len(EVENT_TYPES) - 1) | st.just(TYPE_CODES["dwell"]),
        st.integers(0, 6),
        st.integers(1, 90),
    ),
    max_size=150,
)


def vectors(hashes: np.ndarray) -> np.ndarray:
    """A vector per item, made up from its hash."""
    angles = hashes.astype(np.float32)[:, None] * np.arange(1, 65, dtype=np.float32)
    return np.sin(angles).astype(np.float32)


def columns(batch: list[Row], first: int) -> tuple[list[int], UserEvents]:
    """The users of a batch, and its events as the fold takes them."""
    present = sorted({row[0] for row in batch})
    place = {user: at for at, user in enumerate(present)}
    offset = first + np.arange(len(batch))
    return present, UserEvents(
        user=np.array([place[row[0]] for row in batch], np.int64),
        source=np.zeros(len(batch), np.int64),
        offset=offset,
        ts_ms=1_700_000_000_000 + offset * 1000,
        type=np.array([row[1] for row in batch], np.uint8),
        item=np.array([row[2] for row in batch], np.uint32),
        event=np.array([row[3] for row in batch], np.uint64),
    )


def fold_log(log: list[Row], parts: int = 1) -> tuple[Records, list[tuple], list[tuple]]:
    """Fold a log in so many batches; return users, activity rows and covisit rows."""
    users = unpack_users([None] * 3)
    activity, covisits = [], []
    for part in np.array_split(np.arange(len(log)), parts):
        if not len(part):
            continue
        present, events = columns([log[i] for i in part], int(part[0]))
        fold = fold_users(users[present], events, vectors, 7, OPTIONS)
        users[present] = fold.users
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
@given(rows, st.integers(1, 9))
def test_the_batches_do_not_matter(log: list[Row], parts: int) -> None:
    """State, activity and transitions are the same bytes in one batch or in many."""
    one, one_activity, one_covisits = fold_log(log)
    many, many_activity, many_covisits = fold_log(log, parts)
    assert pack_users(one) == pack_users(many)
    assert one_activity == many_activity
    assert one_covisits == many_covisits


@settings(max_examples=150)
@given(rows)
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
@given(rows)
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
    item = vectors(np.array([3], np.uint32))[0]
    cosine = direction(users[0]["embedding"]) @ item / np.linalg.norm(item)
    assert cosine > 0.999
    assert users[0]["model_tag"] == 7


def test_the_segment_is_the_one_before_the_event() -> None:
    """The first click of a user is a click of a new user."""
    _, activity, _ = fold_log([(0, TYPE_CODES["click"], i, i + 1) for i in range(6)])
    assert [row[4] for row in activity] == [0, 1, 1, 1, 1, 2]
