"""Source `category`: what is popular in the categories that the user acts on."""

from __future__ import annotations

import numpy as np

from online_models.maths.topk import top_k
from serving.item_table import ItemTable
from serving.profile import Profile
from serving.sources.found import Found
from serving.standings import Standings


def find_in_categories(
    table: ItemTable, standings: Standings, profile: Profile, quota: int
) -> Found:
    """Return popular items, those of the user's categories first.

    Args:
        table: the item state.
        standings: what is popular.
        profile: the user; nothing is found for one without categories.
        quota: most items to find.
    """
    popular = standings.popular
    if not profile.taste.any():
        return Found.nothing()
    affinity = profile.taste[table.codes(popular.rows)].sum(axis=1)  # (n,)
    scores = affinity * np.log1p(np.maximum(popular.scores, 0))
    best = top_k(scores, quota)
    best = best[scores[best] > 0]
    return Found.of(popular.rows[best], scores[best].astype(np.float32))
