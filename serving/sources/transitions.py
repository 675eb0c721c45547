"""Source `transitions`: what others opened right after the user's last visit."""

from __future__ import annotations

import numpy as np

from online_models.maths.topk import top_k
from serving.item_table import ItemTable
from serving.profile import Profile
from serving.sources.found import Found


def find_transitions(table: ItemTable, profile: Profile, half_life_s: float, quota: int) -> Found:
    """Return the items that followed the user's last visit, by the share that went there at once.

    Args:
        table: the item state.
        profile: the user.
        half_life_s: a transition so old weighs half.
        quota: most items to find.
    """
    newest = profile.last_visits(1)
    if not newest:
        return Found.nothing()
    last = newest[0]
    sample = table.sample(last)
    at_once = (sample.distance == 1) & (sample.rows >= 0)
    ages_s = profile.now_ms / 1000 - sample.ts_s[at_once]
    rows, place = np.unique(sample.rows[at_once], return_inverse=True)
    if not len(rows):
        return Found.nothing()
    votes = np.bincount(place, np.exp2(-ages_s / half_life_s))
    # Two more visitors who went elsewhere: a share of few says little.
    shares = votes / (votes.sum() + 2)
    best = top_k(shares, quota)
    return Found.of(rows[best], shares[best].astype(np.float32), np.full(len(best), last))
