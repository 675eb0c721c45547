"""Source `neighbours`: where the visitors most like the user went next."""

from __future__ import annotations

from typing import Final

import numpy as np

from online_models.maths.covisitation import neighbour_scores
from online_models.maths.topk import top_k
from online_models.sources import visit_weights
from serving.item_table import ItemTable
from serving.profile import Profile
from serving.sources.found import Found

NEIGHBOURS: Final = 300
VISITS_COMPARED: Final = 10


def find_neighbours(table: ItemTable, profile: Profile, half_life_s: float, quota: int) -> Found:
    """Return the items that the nearest neighbours visited next.

    Args:
        table: the item state.
        profile: the user.
        half_life_s: a transition so old weighs half.
        quota: most items to find.
    """
    last = profile.last_visits(VISITS_COMPARED)
    samples = [table.sample(row) for row in last]
    lengths = np.array([len(sample.rows) for sample in samples])
    if not lengths.sum():
        return Found.nothing()
    rows, ts_s, visit, distance = (np.concatenate(part) for part in zip(*samples, strict=True))
    # An item that all come past says little of who is alike.
    per_row = np.repeat(visit_weights(len(last)) / np.sqrt(np.maximum(lengths, 1)), lengths)
    ages_s = profile.now_ms / 1000 - ts_s
    weights = per_row / distance * np.exp2(-ages_s / half_life_s)
    known = rows >= 0
    items, votes = neighbour_scores(rows[known], visit[known], weights[known], NEIGHBOURS)
    best = top_k(votes, quota)
    return Found.of(items[best], votes[best].astype(np.float32))
