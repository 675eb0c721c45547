"""Source `neighbours`: what was visited in the sessions that resemble the user's last visits."""

from __future__ import annotations

import numpy as np

from online_models.maths.topk import top_k
from online_models.session_index import SessionIndex
from online_models.session_knn import QUERY_ITEMS, session_votes
from serving.profile import Profile
from serving.sources.found import Found


def find_neighbours(index: SessionIndex, profile: Profile, quota: int) -> Found:
    """Return what the nearest sessions hold and the user does not know.

    Args:
        index: the sessions of all users, this one among them.
        profile: the user.
        quota: most items to find.
    """
    last = np.array(profile.last_visits(QUERY_ITEMS), np.int64)
    rows, votes = session_votes(index, last, profile.now_ms / 1000)
    new = ~np.isin(rows, profile.rows, kind="table")  # rows are small numbers
    rows, votes = rows[new], votes[new]
    best = top_k(votes, quota)
    return Found.of(rows[best], votes[best].astype(np.float32))
