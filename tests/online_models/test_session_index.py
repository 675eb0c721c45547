"""A session is what a user visits without a gap; the last ones of all users are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models import session_index
from online_models.session_index import SESSION_GAP_S, SESSIONS_OF_ITEM, SessionIndex

X, Y, Z = 7, 8, 9


def held(index: SessionIndex, *numbers: int) -> list[list[int]]:
    return [
        [item for item in items if item >= 0] for items in index.items(np.array(numbers, np.int64))
    ]


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
    assert index.last_s(np.array([0, 1])).tolist() == [2 * gap, 3 * gap + 1]
    assert index.of_item(X).tolist() == [0]
    assert len(index) == 2


def test_a_full_session_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and without a gap."""
    monkeypatch.setattr(session_index, "SESSION_LENGTH", 3)
    assert held(filled(*(("a", item, 0) for item in range(5))), 0, 1) == [[0, 1, 2], [3, 4]]


def test_the_oldest_sessions_go_first() -> None:
    """And a user whose session went begins another."""
    visits = [("a", X, 0), ("b", X, 1), ("c", X, 2)]
    index = filled(*visits, capacity=2)
    assert index.of_item(X).tolist() == [1, 2]
    assert [index.knows(name) for name in "abc"] == [False, True, True]
    index = filled(*visits, ("a", Y, 3), capacity=2)
    assert index.of_item(X).tolist() == [2]
    assert held(index, 2, 3) == [[X], [Y]]


def test_an_item_remembers_its_last_sessions() -> None:
    """However many there were."""
    index = filled(*((f"u{n}", X, n) for n in range(SESSIONS_OF_ITEM + 3)), capacity=1_000)
    assert index.of_item(X).tolist() == list(range(3, SESSIONS_OF_ITEM + 3))


def test_who_is_forgotten_leaves_nothing() -> None:
    """All sessions, not the open one alone; the others stay."""
    late = 2 * SESSION_GAP_S
    index = filled(("a", X, 0), ("b", X, 1), ("a", X, late), ("a", Y, late))
    index.forget({"a"})
    assert index.of_item(X).tolist() == [1]
    assert index.of_item(Y).tolist() == []
    assert held(index, 0, 1, 2) == [[], [X], []]
    assert (index.knows("a"), index.knows("b"), len(index)) == (False, True, 1)
    index.visit("a", Z, late)
    assert index.of_item(Z).tolist() == [3]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 2)), max_size=60),
    st.integers(1, 6),
)
def test_what_is_kept_is_what_the_slow_twin_keeps(
    visits: list[tuple[str, int, int]], capacity: int
) -> None:
    """Sessions as lists, of which the last ones count."""
    index = SessionIndex(capacity)
    sessions: list[list[int]] = []
    opened: dict[str, tuple[int, float]] = {}
    now_s = 0.0
    for owner, item, waited in visits:
        now_s += waited * 0.6 * SESSION_GAP_S
        index.visit(owner, item, now_s)
        number, last_s = opened.get(owner, (-1, 0.0))
        if number < max(len(sessions) - capacity, 0) or now_s - last_s > SESSION_GAP_S:
            number = len(sessions)
            sessions.append([])
        if item not in sessions[number]:
            sessions[number].append(item)
        opened[owner] = number, now_s
    kept = range(max(len(sessions) - capacity, 0), len(sessions))
    assert held(index, *kept) == [sessions[number] for number in kept]
    for item in range(5):
        expected = [number for number in kept if item in sessions[number]]
        assert sorted(index.of_item(item).tolist()) == expected
