"""What the user fold takes and makes, row by row, and the constants that it goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.codec import EVENT_HASH_BITS
from freshet.core.events.schema import (
    EVENT_TYPES,
    INTERACTION,
    MAX_FUTURE_MS,
    PREFERENCE,
    VISIT,
)
from freshet.core.settings import Settings
from freshet.core.state.past import PAGE_DTYPE
from freshet.core.state.records import SEGMENT_EDGES
from online_models.maths.session import SESSION_EVENTS

VISIT_LOOKBACK = 10
"""Most interactions from a visit to the next for the two to make a transition."""

EVENT_DTYPE = np.dtype(
    [
        ("user", "<i8"),  # row of the user's record
        ("source", "<i8"),  # partition that holds the event
        ("offset", "<i8"),
        ("ts_ms", "<i8"),  # event time as the producer told it
        ("log_ts_ms", "<i8"),  # when the log took it
        ("event", "<u8"),  # hash of the event id
        ("name", "<i8"),  # number of the item's name
        ("item", "<u4"),  # hash of the item
        ("type", "u1"),
    ],
    align=True,
)
"""An event; those of a partition stand together, in the order of their offsets."""

CHANGED = "changed"
TOTALS = ("applied", "duplicates", "clamped", "late", "out_of_order", "erased", CHANGED)
TOTALS_DTYPE = np.dtype([(name, "<i8") for name in TOTALS])
"""How many events of a partition were counted, what was the matter with them, and how many of its
users changed."""

PAGE_ROW_DTYPE = np.dtype(
    [
        ("user", "<i8"),  # row of the user's record
        ("source", "<i8"),
        ("number", "<i8"),
        ("items", PAGE_DTYPE),
    ],
    align=True,
)
"""A page of a user's past; see `freshet/core/state/past.py`."""

RULES_DTYPE = np.dtype(
    [
        ("late_ms", "<i8"),  # an event so far behind its partition is late
        ("max_future_ms", "<i8"),  # a clock so far ahead of the log is not believed
        ("covisit_distance", "<i8"),
        ("visit_lookback", "<i8"),
        ("session_events", "<i8"),
        ("session_half_life_s", "<f8"),
        ("draw_shift", "<u8"),  # leaves the upper 32 bits of an event's hash
        ("interaction", "u1", (len(EVENT_TYPES),)),
        ("visit", "u1", (len(EVENT_TYPES),)),
        ("preference", "<f4", (len(EVENT_TYPES),)),
        ("segment_edges", "<u4", SEGMENT_EDGES.shape),
    ],
    align=True,
)
"""All constants of the fold: its compiled loops read none of another module."""


def rules(settings: Settings) -> NDArray[Any]:
    """Return the constants of the fold, (1,) of `RULES_DTYPE`."""
    made = np.zeros(1, RULES_DTYPE)
    values = {
        "late_ms": 1000 * settings.late_s,
        "max_future_ms": MAX_FUTURE_MS,
        "covisit_distance": settings.covisit_distance,
        "visit_lookback": VISIT_LOOKBACK,
        "session_events": SESSION_EVENTS,
        "session_half_life_s": settings.session_half_life_s,
        "draw_shift": EVENT_HASH_BITS - 32,
        "interaction": INTERACTION,
        "visit": VISIT,
        "preference": PREFERENCE,
        "segment_edges": SEGMENT_EDGES,
    }
    for name, value in values.items():
        made[name] = value
    return made
