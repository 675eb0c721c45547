"""Session kNN: what was visited in the sessions that resemble someone's last visits.

V-SkNN (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", 2018) with two
factors of STAN (Garg et al., "Sequence and time aware neighborhood for session-based
recommendations", SIGIR 2019): the age of a session, and nearness to what is shared. Unlike there,
long sessions are not marked down, which foresaw less on most logs, and a query goes back behind the
user's present session, which is often empty.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, part, rows_of
from online_models.session_index import SESSION_DTYPE, SESSION_LENGTH, SessionIndex, Slots

NEIGHBOURS: Final = 200
QUERY_ITEMS: Final = 5
DECAY: Final = 0.5  # of their weights, from each to the one visited before it
RECENCY_S: Final = 30 * 86_400.0  # a session so old counts 1/e
SPREAD: Final = 3.0  # an item so many places from a shared one counts 1/e

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

_WEIGHTS: Final = np.power(DECAY, np.arange(QUERY_ITEMS), dtype=np.float64)
_NEARNESS: Final = np.exp(-np.arange(SESSION_LENGTH) / SPREAD)  # by distance


def session_votes(index: SessionIndex, query: Rows, now_s: float) -> tuple[Rows, Floats]:
    """Return what the nearest sessions hold.

    The similarity of a session is the sum of the weights of the query's items in it, which are 1,
    `DECAY`, `DECAY`^2, ..., times exp(-age / `RECENCY_S`). An item's votes are the sum over the
    nearest sessions of similarity times exp(-distance / `SPREAD`), the distance counted in places
    from the newest item of the query. Of equally similar sessions, those begun later are nearer.

    Args:
        index: the sessions.
        query: (q,) distinct rows of the items visited last, the newest first; `QUERY_ITEMS` of
            them are compared.
        now_s: the time to ask at, s.

    Returns:
        (m,) distinct rows, ascending, and their (m,) votes, all above 0; among them are the items
        of the query.
    """
    query = np.ascontiguousarray(query[:QUERY_ITEMS])
    slots, of = index.of_items(query)
    rows, votes = _votes(
        index.sessions, index.items, query, slots, _WEIGHTS[of], _NEARNESS, now_s, RECENCY_S,
        NEIGHBOURS,
    )  # fmt: skip
    ascending = np.argsort(rows)
    return rows[ascending], votes[ascending]


@part
def _sums(keys: Rows, values: Floats, most: int) -> tuple[Rows, Floats]:
    """Return distinct keys below `most` as they first occur, and the sum of the values of each.

    Where a key stands is looked up in memory that nobody has cleared, which would take longer than
    all the rest: what it says counts only if that place is taken, and by this key (Briggs and
    Torczon, "An efficient representation for sparse sets", 1993).
    """
    place_of = np.empty(most, np.int32)
    distinct = np.empty(len(keys), np.int64)
    sums = np.empty(len(keys))
    n = 0
    for at in range(len(keys)):
        key = keys[at]
        place = place_of[key]
        if 0 <= place < n and distinct[place] == key:
            sums[place] += values[at]
        else:
            place_of[key] = n
            distinct[n] = key
            sums[n] = values[at]
            n += 1
    return distinct[:n], sums[:n]


@part
def _nearer(one: int, other: int, similarities: Floats, numbers: Rows) -> bool:
    """Tell whether a session goes before another."""
    if similarities[one] == similarities[other]:
        return bool(numbers[one] > numbers[other])
    return bool(similarities[one] > similarities[other])


@part
def _nearest(similarities: Floats, numbers: Rows, k: int) -> Rows:
    """Return the indices of the k nearest sessions, in no order.

    Hoare, "Algorithm 65: find" (1961). The compiled functions of numpy do the same, and take six
    seconds to compile.
    """
    order = np.arange(len(similarities))
    first, last = 0, len(order) - 1
    while first < k <= last:
        pivot = order[(first + last) // 2]
        left, right = first, last
        while left <= right:
            while _nearer(order[left], pivot, similarities, numbers):
                left += 1
            while _nearer(pivot, order[right], similarities, numbers):
                right -= 1
            if left <= right:
                order[left], order[right] = order[right], order[left]
                left += 1
                right -= 1
        if k <= right:
            last = right
        else:
            first = left
    return order[:k]


@part
def _newest_shared(items: NDArray[np.int32], query: Rows) -> int:
    """Return the place of the newest item of the query; a session that was found holds one."""
    for asked in query:
        for place in range(len(items)):
            if items[place] == asked:
                return place
    return 0


@compiled(
    rows_of(SESSION_DTYPE), rows_of("i4", dimensions=2), rows_of("i8"), rows_of("i8"),
    rows_of("f8"), rows_of("f8"), numba.float64, numba.float64, numba.int64,
)  # fmt: skip
def _votes(
    sessions: Any,
    items: NDArray[np.int32],
    query: Rows,
    slots: Slots,
    weights: Floats,
    nearness: Floats,
    now_s: float,
    recency_s: float,
    neighbours: int,
) -> tuple[Rows, Floats]:
    """Return the rows that the nearest of the sessions hold, and their votes.

    Args:
        sessions: by slot.
        items: (capacity, SESSION_LENGTH) of the sessions.
        query: (q,) rows.
        slots: (n,) of the sessions that hold each item of the query.
        weights: (n,) of these items.
        nearness: (SESSION_LENGTH,) factors by distance.
        now_s: the time, s.
        recency_s: age at which a session counts 1/e, s.
        neighbours: most sessions to hear.
    """
    candidates, similarities = _sums(slots, weights, len(sessions))
    last_s = np.empty(len(candidates))
    numbers = np.empty(len(candidates), np.int64)
    for at in range(len(candidates)):  # apart from what computes, reads wait for memory together
        session = sessions[candidates[at]]
        last_s[at], numbers[at] = session.last_s, session.number
    for at in range(len(candidates)):
        similarities[at] *= np.exp((last_s[at] - now_s) / recency_s)
    nearest = _nearest(similarities, numbers, neighbours)
    n_votes = 0
    for at in nearest:
        n_votes += sessions[candidates[at]].length
    rows = np.empty(n_votes, np.int64)
    votes = np.empty(n_votes)
    n = 0
    most_row = -1
    for at in nearest:
        held = items[candidates[at], : sessions[candidates[at]].length]
        shared_at = _newest_shared(held, query)
        for place in range(len(held)):
            rows[n] = held[place]
            votes[n] = similarities[at] * nearness[abs(place - shared_at)]
            most_row = max(most_row, rows[n])
            n += 1
    return _sums(rows, votes, most_row + 1)
