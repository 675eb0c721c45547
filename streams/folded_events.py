"""What the user fold makes of a round, and how it is counted once it has been written."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.events.producer import Record
from freshet.core.metrics import (
    EVENTS_APPLIED,
    EVENTS_CLAMPED,
    EVENTS_DUPLICATE,
    EVENTS_ERASED,
    EVENTS_HELD_BACK,
    EVENTS_LATE,
    EVENTS_OUT_OF_ORDER,
)
from streams.store import Write
from streams.user_fold_rows import HELD_BACK

COUNTED = {
    "applied": EVENTS_APPLIED.labels("users"),
    "duplicates": EVENTS_DUPLICATE.labels("event_id"),
    "clamped": EVENTS_CLAMPED,
    "late": EVENTS_LATE,
    "out_of_order": EVENTS_OUT_OF_ORDER,
    "erased": EVENTS_ERASED,
    **{name: EVENTS_HELD_BACK.labels(name.removeprefix("held_")) for name in HELD_BACK},
}
"""Totals of the position, and the metric of each."""


@dataclass(frozen=True, slots=True)
class FoldedEvents:
    """A round, folded: partitions to write, then dead letters, deltas and outcomes to produce.

    Attributes:
        ends: next offset of each partition in the round: it names what the outbox holds.
        counts: of the names of `COUNTED`, over all partitions.
        erasures: people who were erased.
        beats: when the heartbeats in the round were sent, ms.
    """

    records: list[Record]
    writes: list[Write]
    ends: dict[int, int]
    counts: dict[str, int]
    erasures: int
    beats: list[int]
