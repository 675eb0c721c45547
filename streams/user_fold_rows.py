"""What the user fold takes and makes, row by row, and the constants that it goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.codec import EVENT_HASH_BITS
from freshet.core.events.schema import (
    CLICK,
    ENCODED,
    EVENT_TYPES,
    IMPRESSION,
    INTERACTION,
    MAX_FUTURE_MS,
    PREFERENCE,
    REJECTION,
    TAKES_BACK,
    TREND_WEIGHT,
    VISIT,
)
from freshet.core.settings import Settings
from freshet.core.state.past import LEFT_OUT, PAGE_DTYPE
from freshet.core.state.records import LATE, SEGMENT_EDGES
from online_models.maths.session import SESSION_EVENTS
from streams.deltas import ADDS_PERSON, ADDS_RATE

VISIT_LOOKBACK = 10
"""Most interactions from a visit to the next for the two to make a transition."""

SHOWN_UNMARKED = 64
"""Impressions of a user in a window that cost no memory: of these, one item has a fifth at most."""

SHOWN_MARKED = 160
"""Marks of a user beyond which no impression adds; the other `OLDER_KEPT` are for interactions."""

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
HELD_BACK = ("held_interactions", "held_impressions", "held_transitions")
"""What added nothing to an item because the same user had added it before."""

TOTALS = (
    "applied", "duplicates", "clamped", "late", "out_of_order", "erased", *HELD_BACK, CHANGED,
)  # fmt: skip
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

UNWANTED_ROW_DTYPE = np.dtype(
    [
        ("user", "<i8"),  # row of the user's record
        ("source", "<i8"),
        ("item", "<u4"),
        ("ts_s", "<u4"),
        ("type", "u1"),
    ],
    align=True,
)
"""An event that rejects an item or takes a rejection back; see `streams/unwanted.py`."""

RULES_DTYPE = np.dtype(
    [
        ("late_ms", "<i8"),  # an event so far behind its partition is late
        ("max_future_ms", "<i8"),  # a clock so far ahead of the log is not believed
        ("covisit_distance", "<i8"),
        ("visit_lookback", "<i8"),
        ("session_events", "<i8"),
        ("session_half_life_s", "<f8"),
        ("draw_shift", "<u8"),  # leaves the upper 32 bits of an event's hash
        ("contribution_window_s", "<i8"),  # 0: all counts
        ("shown_unmarked", "<i8"),  # impressions of a window that take no memory
        ("shown_marked", "<i8"),  # no impression is marked beyond so many marks
        ("adds_person", "u1"),
        ("adds_rate", "u1"),
        ("impression", "<i8"),
        ("click", "<i8"),
        ("late_gap", "<i8"),
        ("left_out", "<u4"),
        ("interaction", "u1", (len(EVENT_TYPES),)),
        ("encoded", "u1", (len(EVENT_TYPES),)),
        ("rejection", "u1", (len(EVENT_TYPES),)),
        ("takes_back", "u1", (len(EVENT_TYPES),)),
        ("trend_weight", "u1", (len(EVENT_TYPES),)),
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
        "contribution_window_s": settings.contribution_window_s,
        "shown_unmarked": SHOWN_UNMARKED,
        "shown_marked": SHOWN_MARKED,
        "adds_person": ADDS_PERSON,
        "adds_rate": ADDS_RATE,
        "late_gap": LATE,
        "left_out": LEFT_OUT,
        "impression": IMPRESSION,
        "click": CLICK,
        "interaction": INTERACTION,
        "encoded": ENCODED,
        "rejection": REJECTION,
        "takes_back": TAKES_BACK,
        "trend_weight": TREND_WEIGHT,
        "visit": VISIT,
        "preference": PREFERENCE,
        "segment_edges": SEGMENT_EDGES,
    }
    for name, value in values.items():
        made[name] = value
    return made
