"""A session is what a user visits without a gap; the last ones of all users are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.session_index import (
    SESSION_GAP_S,
    SESSION_LENGTH,
    SESSIONS_OF_ITEM,
    SessionIndex,
)

X, Y, Z = 7, 8, 9


def held(index: SessionIndex, *numbers: int) -> list[list[int]]:
    slots = [number % len(index.sessions) for number in numbers]
    return [[item for item in items if item >= 0] for items in index.items[slots].tolist()]


def of_item(index: SessionIndex, item: int) -> list[int]:
    slots, of = index.of_items(np.array([item]))
    assert not of.any()
    return index.sessions["number"][slots].tolist()


def filled(*visits: tuple[str, int, float], capacity: int = 100) -> SessionIndex:
    index = SessionIndex(capacity)
    for visit in visits:
        index.visit(*visit)
    return index


def test_a_gap_ends_a_session_and_a_repetition_adds_nothing() -> None:
    """A gap of just the length does not; the repetition keeps the session open."""
    gap = SESSION_GAP_S
    index = filled(("a", X, 0), ("a", Y, gap), ("a", X, 2 * gap), ("a", Z, 3 * gap + 1))
    assert held(index, 0, 1) == [[X, Y], [Z]]
    assert index.sessions["last_s"][:2].tolist() == [2 * gap, 3 * gap + 1]
    assert of_item(index, X) == [0]
    assert len(index) == 2


def test_a_full_session_is_followed_by_another() -> None:
    """At once, and without a gap."""
    items = list(range(SESSION_LENGTH + 2))
    index = filled(*(("a", item, 0) for item in items))
    assert held(index, 0, 1) == [items[:SESSION_LENGTH], items[SESSION_LENGTH:]]


def test_the_oldest_sessions_go_first() -> None:
    """And a user whose session went begins another."""
    visits = [("a", X, 0), ("b", X, 1), ("c", X, 2)]
    index = filled(*visits, capacity=2)
    assert of_item(index, X) == [2, 1]
    assert [index.knows(name) for name in "abc"] == [False, True, True]
    index = filled(*visits, ("a", Y, 3), capacity=2)
    assert of_item(index, X) == [2]
    assert held(index, 2, 3) == [[X], [Y]]


def test_an_item_remembers_its_last_sessions() -> None:
    """However many there were; and of several items, each its own."""
    index = filled(*((f"u{n}", X, n) for n in range(SESSIONS_OF_ITEM + 3)), capacity=1_000)
    assert of_item(index, X) == list(range(SESSIONS_OF_ITEM + 2, 2, -1))
    index.visit("u1", Y, 2_000)
    slots, of = index.of_items(np.array([Z, Y, 10**6, X]))
    assert slots[of == 1].tolist() == [1]
    assert sorted(set(of.tolist())) == [1, 3]


def test_who_is_forgotten_leaves_nothing() -> None:
    """All sessions, not the open one alone; the others stay."""
    late = 2 * SESSION_GAP_S
    index = filled(("a", X, 0), ("b", X, 1), ("a", X, late), ("a", Y, late))
    index.forget({"a"})
    assert of_item(index, X) == [1]
    assert of_item(index, Y) == []
    assert held(index, 0, 1, 2) == [[], [X], []]
    assert (index.knows("a"), index.knows("b"), len(index)) == (False, True, 1)
    index.visit("a", Z, late)
    assert of_item(index, Z) == [3]


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 2)), max_size=20
        ),
        max_size=6,
    ),
    st.integers(1, 6),
    st.sampled_from(["", "a", "bc"]),
)
def test_what_is_kept_is_what_the_slow_twin_keeps(
    batches: list[list[tuple[str, int, int]]], capacity: int, erased: str
) -> None:
    """Sessions as lists, of which the last ones count; some are forgotten before the last batch."""
    index = SessionIndex(capacity)
    sessions: list[tuple[str, list[int]]] = []
    opened: dict[str, tuple[int, float]] = {}
    entered: list[tuple[int, int]] = []  # (session, item)
    now_s = 0.0
    for left, batch in zip(range(len(batches), 0, -1), batches, strict=True):
        if left == 1:
            index.forget(erased)
            sessions = [(name, [] if name in erased else items) for name, items in sessions]
            opened = {name: newest for name, newest in opened.items() if name not in erased}
            entered = [(n, item) for n, item in entered if sessions[n][1]]
        by, items, ts_s = [], [], []
        for owner, item, waited in batch:
            now_s += waited * 0.6 * SESSION_GAP_S
            by.append("abc".index(owner))
            items.append(item)
            ts_s.append(now_s)
            number, last_s = opened.get(owner, (-1, 0.0))
            if number < max(len(sessions) - capacity, 0) or now_s - last_s > SESSION_GAP_S:
                number = len(sessions)
                sessions.append((owner, []))
            if item not in sessions[number][1]:
                sessions[number][1].append(item)
                entered.append((number, item))
            opened[owner] = number, now_s
        rows = np.array(items, np.int64)
        index.visit_many("abc", np.array(by, np.int64), rows, np.array(ts_s))
    kept = range(max(len(sessions) - capacity, 0), len(sessions))
    assert held(index, *kept) == [sessions[number][1] for number in kept]
    assert len(index) == sum(bool(sessions[number][1]) for number in kept)
    for name in "abc":
        assert index.knows(name) == (name in opened and opened[name][0] in kept)
    for item in range(5):
        newest_first = [number for number, of in entered[::-1] if of == item and number in kept]
        assert of_item(index, item) == newest_first
