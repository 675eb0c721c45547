"""Source `covisitation`: what others visited next after the user's last items."""

from __future__ import annotations

import numpy as np

from freshet.core.events.schema import VISIT
from online_models.maths.topk import top_k
from online_models.sources import LAST_VISITS, visit_weights
from serving.item_table import ItemTable
from serving.profile import Profile
from serving.sources.found import Found


def find_covisits(table: ItemTable, profile: Profile, half_life_s: float, quota: int) -> Found:
    """Return the items that followed the user's last visits.

    Each of the last distinct visits votes with the shares of its transitions, the newest with the
    most weight, because the next step depends most on the last one.

    Args:
        table: the item state.
        profile: the user.
        half_life_s: a transition so old weighs half.
        quota: most items to find.
    """
    visits = profile.rows[VISIT[profile.types] & (profile.rows >= 0)]
    last = list(dict.fromkeys(visits.tolist()))[:LAST_VISITS]
    votes = [table.transitions(row, profile.now_ms, half_life_s) for row in last]
    lengths = [len(rows) for rows, _ in votes]
    if not sum(lengths):
        return Found.nothing()
    rows = np.concatenate([rows for rows, _ in votes])
    weights = np.repeat(visit_weights(len(last)), lengths)
    weighted = np.concatenate([shares for _, shares in votes]) * weights
    distinct, place = np.unique(rows, return_inverse=True)
    scores = np.bincount(place, weighted)
    best = top_k(scores, quota)
    because = np.empty(len(distinct), np.int64)
    strongest = np.argsort(weighted, kind="stable")  # the largest vote is written last
    because[place[strongest]] = np.repeat(last, lengths)[strongest]
    return Found.of(distinct[best], scores[best].astype(np.float32), because[best])
