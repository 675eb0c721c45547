"""Series of a server that exist before anything has happened; those of routes are made by the app.

Law: a counter that an alert reads is born at 0. Prometheus' `increase` sees no rise of a series
that is born with its first count.
"""

from __future__ import annotations

from typing import Final, get_args

from freshet.core.metrics import (
    EVENTS_ACCEPTED,
    FEED_PUSHES,
    MODEL_SWAPS,
    RECOMMENDATIONS,
    RECORDS_LOGGED,
    STAGE_FAILURES,
)
from serving.answer import Quality
from serving.http.feed import MessageType
from serving.stages import BUDGETS

STAGE_REASONS: Final = ("error", "deadline")
_VALUES: Final = (
    (RECOMMENDATIONS, get_args(Quality)),
    (EVENTS_ACCEPTED, ("accepted", "rejected", "undelivered")),
    (MODEL_SWAPS, ("rejected", "swapped")),
    (RECORDS_LOGGED, ("delivered", "dropped", "failed")),
    (FEED_PUSHES, get_args(MessageType)),
)


def start_series_of_server() -> None:
    """Let them exist."""
    for counter, values in _VALUES:
        for value in values:
            counter.labels(value)
    for stage in BUDGETS:
        for reason in STAGE_REASONS:
            STAGE_FAILURES.labels(stage, reason)
