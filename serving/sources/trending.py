"""Source `trending`: what rises now, for everyone."""

from __future__ import annotations

from serving.sources.found import Found
from serving.standings import Standings


def find_trending(standings: Standings, quota: int) -> Found:
    """Return the items whose last hour exceeds their week the most."""
    return standings.trending.first(quota)
