"""Session kNN: what was visited in the sessions that resemble someone's last visits.

V-SkNN (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", 2018) with two
factors of STAN (Garg et al., "Sequence and time aware neighborhood for session-based
recommendations", SIGIR 2019): the age of a session, and nearness to what is shared. Unlike there,
long sessions are not marked down, which foresaw less on most logs, and a query goes back behind the
user's present session, which is often empty.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.maths.topk import top_k
from online_models.session_index import SESSION_LENGTH, Numbers, SessionIndex

NEIGHBOURS: Final = 200
QUERY_ITEMS: Final = 5
DECAY: Final = 0.5  # of their weights, from each to the one visited before it
RECENCY_S: Final = 30 * 86_400.0  # a session so old counts 1/e
SPREAD: Final = 3.0  # an item so many places from a shared one counts 1/e

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

_PLACES: Final = np.arange(SESSION_LENGTH)
_NEARNESS: Final = np.exp(-_PLACES / SPREAD)  # by distance


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
    query = query[:QUERY_ITEMS]
    sessions, similarities = _nearest(index, query, now_s)
    if not len(sessions):
        return np.empty(0, np.int64), np.empty(0)
    items = index.items(sessions)  # (n, length)
    votes = similarities[:, None] * _nearness(items, query)
    used = items >= 0
    totals = np.bincount(items[used], votes[used]).astype(np.float64)
    rows = np.flatnonzero(totals)
    return rows, totals[rows]


def _nearest(index: SessionIndex, query: Rows, now_s: float) -> tuple[Numbers, Floats]:
    """Return the (n,) most similar sessions, and their similarities."""
    found = [np.empty(0, np.int64), *(index.of_item(item) for item in query.tolist())]
    candidates, at = np.unique(np.concatenate(found), return_inverse=True)
    held = np.repeat(DECAY ** np.arange(len(query)), [len(each) for each in found[1:]])
    shared = np.bincount(at, held, minlength=len(candidates)).astype(np.float64)
    similarities = shared * np.exp((index.last_s(candidates) - now_s) / RECENCY_S)
    newest_first = np.arange(len(candidates))[::-1]
    nearest = newest_first[top_k(similarities[newest_first], NEIGHBOURS)]
    return candidates[nearest], similarities[nearest]


def _nearness(items: NDArray[np.int32], query: Rows) -> Floats:
    """Return (n, length) factors by the distance to the newest item of the query.

    Every session holds one of them at least.
    """
    shared_at = np.zeros(len(items), np.int64)
    for item in query[::-1].tolist():  # the newest is written last
        held = items == item
        shared_at = np.where(held.any(axis=1), held.argmax(axis=1), shared_at)
    return np.asarray(_NEARNESS[np.abs(_PLACES[: items.shape[1]] - shared_at[:, None])])
