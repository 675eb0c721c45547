"""Sessions that share someone's last items say what comes next; see also the baseline's twin."""

from __future__ import annotations

import numpy as np
import pytest

from online_models import session_knn
from online_models.session_index import SessionIndex
from online_models.session_knn import DECAY, RECENCY_S, SPREAD, session_votes


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
