"""Series of a worker that exist before anything has happened.

Law: a counter that an alert reads is born at 0. Prometheus' `increase` sees no rise of a series
that is born with its first count.
"""

from __future__ import annotations

from freshet.core.metrics import (
    EVENT_FRESHNESS,
    EVENTS_APPLIED,
    EVENTS_DUPLICATE,
    EVENTS_LOST,
    EVENTS_REJECTED,
)
from freshet.core.progress import FOLDS
from streams.pending_letters import REASONS

DUPLICATES = ("event_id", "offset", "outcome")


def start_series_of_worker() -> None:
    """Let them exist."""
    for reason in REASONS:
        EVENTS_REJECTED.labels(reason)
    for fold in FOLDS:
        EVENTS_LOST.labels(fold)
        EVENTS_APPLIED.labels(fold)
        EVENT_FRESHNESS.labels(fold)
    for kind in DUPLICATES:
        EVENTS_DUPLICATE.labels(kind)
