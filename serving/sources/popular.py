"""Source `popular`: what most people act on; it never fails, so that no answer is empty."""

from __future__ import annotations

from online_models.maths.topk import top_k
from serving.item_table import ItemTable, Rows
from serving.sources.found import Found
from serving.standings import Standings, popularity


def find_popular(standings: Standings, quota: int) -> Found:
    """Return the most popular items."""
    return standings.popular.first(quota)


def find_popular_among(table: ItemTable, rows: Rows, now_ms: int, quota: int) -> Found:
    """Return the most popular of some rows: slower, for when the standing holds too few of them."""
    scores = popularity(table, rows, now_ms)
    best = top_k(scores, quota)
    return Found.of(rows[best], scores[best])
