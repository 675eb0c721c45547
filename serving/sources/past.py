"""Source `past`: what the user acted on before, and might again."""

from __future__ import annotations

from typing import Final

import numpy as np

from online_models.maths.topk import top_k
from online_models.sources import LAST_VISITS
from serving.profile import Profile
from serving.sources.found import Found

_TIE_BREAK: Final = 1e-3  # far below the nearness of anything that is near at all


def find_past(profile: Profile, quota: int) -> Found:
    """Return items from before the history, by how near they stood there to the last visits.

    Of those alike in that, the ones that were acted on more often come first.
    """
    past = profile.past
    scores = past.nearness(profile.last_visits(LAST_VISITS)) + _TIE_BREAK * np.log1p(past.times)
    best = top_k(scores, quota)
    return Found.of(past.rows[best], scores[best].astype(np.float32))
