"""Sessions that share someone's last items say what comes next; see also the baseline's twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models import session_index, session_knn
from online_models.session_index import SessionIndex
from online_models.session_knn import DECAY, QUERY_ITEMS, RECENCY_S, SPREAD, session_votes


def votes(index: SessionIndex, query: list[int], now_s: float = 0) -> dict[int, float]:
    rows, found = session_votes(index, np.array(query, np.int64), now_s)
    return dict(zip(rows.tolist(), found.tolist(), strict=True))


def walked(*sessions: list[int], ts_s: float = 0) -> SessionIndex:
    index = SessionIndex(50)
    for owner, items in enumerate(sessions):
        for item in items:
            index.visit(owner, item, ts_s)
    return index


def test_nothing_is_known_without_items_or_sessions() -> None:
    """Nor of items that nobody visited."""
    assert votes(walked([1, 2]), []) == {}
    assert votes(walked(), [1]) == {}
    assert votes(walked([1, 2]), [3]) == {}


def test_votes_are_similarity_times_nearness_to_the_newest_shared_item() -> None:
    """Item 1 is the newest; the first session shares both, the second the older one alone."""
    found = votes(walked([2, 5, 1, 6], [6, 2]), [1, 2])
    near = np.exp(-np.arange(4) / SPREAD)
    both, older = 1 + DECAY, DECAY
    assert found == pytest.approx(
        {1: both, 5: both * near[1], 2: both * near[2] + older, 6: (both + older) * near[1]}
    )


def test_an_old_session_says_less() -> None:
    """By a factor e after `RECENCY_S`."""
    index = walked([1, 2])
    fresh, old = votes(index, [1]), votes(index, [1], now_s=RECENCY_S)
    assert old[2] == pytest.approx(fresh[2] / np.e)


def test_the_nearest_alone_are_heard_and_of_equals_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four that share the item; two are neighbours."""
    monkeypatch.setattr(session_knn, "NEIGHBOURS", 2)
    assert votes(walked([1, 2], [1, 3], [1, 4], [1, 5]), [1]).keys() == {1, 4, 5}


def slow_votes(
    index: SessionIndex, query: list[int], now_s: float, heard: int, of_each: int
) -> dict[int, float]:
    """Return the votes as the docstring of `session_votes` says them, session by session."""
    query = query[:QUERY_ITEMS]
    shared: dict[int, float] = {}
    slot_of = {int(number): slot for slot, number in enumerate(index.sessions["number"])}
    for n, item in enumerate(query):
        holding = [number for number, slot in slot_of.items() if item in index.items[slot]]
        for number in sorted(holding)[-of_each:]:
            shared[number] = shared.get(number, 0) + DECAY**n
    similarity = {
        number: weight * np.exp(-(now_s - index.sessions["last_s"][slot_of[number]]) / RECENCY_S)
        for number, weight in shared.items()
    }
    found: dict[int, float] = {}
    for number in sorted(similarity, key=lambda number: (-similarity[number], -number))[:heard]:
        items = [item for item in index.items[slot_of[number]].tolist() if item >= 0]
        shared_at = items.index(next(item for item in query if item in items))
        for place, item in enumerate(items):
            nearness = np.exp(-abs(place - shared_at) / SPREAD)
            found[item] = found.get(item, 0) + similarity[number] * nearness
    return found


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=30),
    st.lists(st.integers(0, 11), max_size=7, unique=True),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([0, 86_400]),
)
def test_votes_are_those_of_the_slow_twin(
    sessions: list[list[int]], query: list[int], heard: int, of_each: int, apart_s: int
) -> None:
    """With more sessions than are kept, heard, or walked of an item, and with equals among them."""
    index = SessionIndex(20)
    for owner, items in enumerate(sessions):
        for item in items:
            index.visit(owner, item, apart_s * (owner // 3))
    now_s = 20.0 * apart_s
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session_knn, "NEIGHBOURS", heard)
        patched.setattr(session_index, "SESSIONS_OF_ITEM", of_each)
        rows, found = session_votes(index, np.array(query, np.int64), now_s)
    assert (np.diff(rows) > 0).all()
    expected = slow_votes(index, query, now_s, heard, of_each)
    assert dict(zip(rows.tolist(), found.tolist(), strict=True)) == pytest.approx(
        expected, rel=1e-9
    )
