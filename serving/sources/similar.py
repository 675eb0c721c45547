"""Source `similar`: the items nearest to the one that the user liked last."""

from __future__ import annotations

import numpy as np

from serving.live_bundle import BoundBundle
from serving.profile import Profile
from serving.sources.found import Found


def find_similar(bound: BoundBundle | None, profile: Profile, quota: int) -> Found:
    """Return the neighbours of the newest liked item of the history, in content and in use.

    Args:
        bound: the bundle whose items are searched; nothing is found without one.
        profile: the user.
        quota: most items to find.
    """
    if bound is None or profile.last_liked < 0:
        return Found.nothing()
    rows, scores = bound.nearest(profile.last_vector, quota)
    return Found.of(rows, scores, np.full(len(rows), profile.rows[profile.last_liked]))
