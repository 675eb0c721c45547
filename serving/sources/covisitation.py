"""Source `covisitation`: what others visited next after the user's last items."""

from __future__ import annotations

import numpy as np

from online_models.maths.topk import top_k
from online_models.sources import LAST_VISITS, visit_weights
from serving.item_table import ItemTable
from serving.profile import Profile
from serving.sources.found import Found


def find_covisits(table: ItemTable, profile: Profile, half_life_s: float, quota: int) -> Found:
    """Return the items that followed the user's last visits.

    Each of the last distinct visits votes with its transitions, the newest with the most weight,
    because the next step depends most on the last one. Visits that many came past have more votes
    than others: what they say is better known.

    Args:
        table: the item state.
        profile: the user.
        half_life_s: a transition so old weighs half.
        quota: most items to find.
    """
    last = profile.last_visits(LAST_VISITS)
    samples = [table.sample(row) for row in last]
    lengths = [len(sample.rows) for sample in samples]
    if not sum(lengths):
        return Found.nothing()
    rows, ts_s, distance = (np.concatenate(part) for part in zip(*samples, strict=True))
    ages_s = profile.now_ms / 1000 - ts_s
    votes = np.repeat(visit_weights(len(last)), lengths) / distance
    votes *= np.exp2(-ages_s / half_life_s) * (rows >= 0)
    distinct, place = np.unique(rows, return_inverse=True)
    scores = np.bincount(place, votes)
    best = top_k(scores, quota)
    best = best[scores[best] > 0]
    because = np.empty(len(distinct), np.int64)
    strongest = np.argsort(votes, kind="stable")  # the largest vote is written last
    because[place[strongest]] = np.repeat(last, lengths)[strongest]
    return Found.of(distinct[best], scores[best].astype(np.float32), because[best])
