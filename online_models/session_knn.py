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
from online_models.maths.topk import top_k
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
    found, similarities = _similar(index.sessions, slots, _WEIGHTS[of], now_s, RECENCY_S)
    newest_first = np.argsort(index.sessions["number"][found])[::-1]
    nearest = newest_first[top_k(similarities[newest_first], NEIGHBOURS)]
    rows, votes = _votes(
        index.sessions, index.items, query, found[nearest], similarities[nearest], _NEARNESS
    )
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


@compiled(rows_of(SESSION_DTYPE), rows_of("i8"), rows_of("f8"), numba.float64, numba.float64)
def _similar(
    sessions: Any, slots: Slots, weights: Floats, now_s: float, recency_s: float
) -> tuple[Slots, Floats]:
    """Return the distinct slots among those of the items of a query, and their similarities.

    Args:
        sessions: by slot.
        slots: (n,) of the sessions that hold each item of the query.
        weights: (n,) of these items.
        now_s: the time, s.
        recency_s: age at which a session counts 1/e, s.
    """
    found, similarities = _sums(slots, weights, len(sessions))
    for at in range(len(found)):
        similarities[at] *= np.exp((sessions[found[at]].last_s - now_s) / recency_s)
    return found, similarities


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
    rows_of("f8"), rows_of("f8"),
)  # fmt: skip
def _votes(
    sessions: Any,
    items: NDArray[np.int32],
    query: Rows,
    nearest: Slots,
    similarities: Floats,
    nearness: Floats,
) -> tuple[Rows, Floats]:
    """Return the rows that the nearest sessions hold, and their votes.

    Args:
        sessions: by slot.
        items: (capacity, SESSION_LENGTH) of the sessions.
        query: (q,) rows.
        nearest: (n,) slots.
        similarities: (n,) of these sessions.
        nearness: (SESSION_LENGTH,) factors by distance.
    """
    n_votes = 0
    for slot in nearest:
        n_votes += sessions[slot].length
    rows = np.empty(n_votes, np.int64)
    votes = np.empty(n_votes)
    n = 0
    most_row = -1
    for at in range(len(nearest)):
        slot = nearest[at]
        held = items[slot, : sessions[slot].length]
        shared_at = _newest_shared(held, query)
        for place in range(len(held)):
            rows[n] = held[place]
            votes[n] = similarities[at] * nearness[abs(place - shared_at)]
            most_row = max(most_row, rows[n])
            n += 1
    return _sums(rows, votes, most_row + 1)
