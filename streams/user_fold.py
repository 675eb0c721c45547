"""The user fold: events into the records of their users.

Law: what becomes of a record is a function of the record and of its events in their order, and
folding a log in one batch or in many gives the same bytes. So nothing here depends on a clock, on
the size of the batch or on who else is in it. What is early or late is told by the log alone: by
each record's own log time, and by the events before it in its partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import GAPS_S, Records
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE
from streams.item_vectors import VectorTable
from streams.user_embedding import embed_users
from streams.user_fold_loops import fold_events
from streams.user_fold_rows import PAGE_ROW_DTYPE, TOTALS_DTYPE, UNWANTED_ROW_DTYPE


@dataclass(frozen=True, slots=True)
class UserFold:
    """What the events of a round made, besides the records.

    Attributes:
        changed: (u,) rows of the users who are not what they were, partition by partition.
        accepted: (a,) index of each event that counts: not applied before, and not erased.
        activity: (a,) of `ACTIVITY_DTYPE`, one row per accepted event.
        covisits: (c,) of `COVISIT_ROW_DTYPE`, in the order of the events.
        pages: (p,) of `PAGE_ROW_DTYPE`, in the order of the events.
        unwanted: (r,) of `UNWANTED_ROW_DTYPE`, in the order of the events.
        totals: (partitions,) of `TOTALS_DTYPE`.
        watermarks_ms: (partitions,) newest time of an accepted event of each.
    """

    changed: NDArray[np.int64]
    accepted: NDArray[np.int64]
    activity: NDArray[Any]
    covisits: NDArray[Any]
    pages: NDArray[Any]
    unwanted: NDArray[Any]
    totals: NDArray[Any]
    watermarks_ms: NDArray[np.int64]


def fold_users(
    users: Records,
    events: NDArray[Any],
    watermarks_ms: NDArray[np.int64],
    vectors: VectorTable,
    fold_rules: NDArray[Any],
) -> UserFold:
    """Fold events into the records of their users, where these stand.

    Args:
        users: (n,) of `USER_DTYPE`, changed.
        events: (e,) of `EVENT_DTYPE`.
        watermarks_ms: (partitions,) newest time of an event of each that counted before.
        vectors: of the items of the bundle in use.
        fold_rules: see `streams.user_fold_rows.rules`.
    """
    most_covisits = len(events) * int(fold_rules["covisit_distance"][0])
    changed = np.empty(len(events), np.int64)
    accepted = np.empty(len(events), np.int64)
    activity = np.empty(len(events), ACTIVITY_DTYPE)
    covisits = np.empty(most_covisits, COVISIT_ROW_DTYPE)
    pages = np.empty(len(events), PAGE_ROW_DTYPE)
    unwanted = np.empty(len(events), UNWANTED_ROW_DTYPE)
    totals = np.zeros(len(watermarks_ms), TOTALS_DTYPE)
    watermarks_ms = watermarks_ms.copy()
    n_changed, n_accepted, n_covisits, n_pages, n_unwanted = fold_events(
        users, events, fold_rules, GAPS_S, watermarks_ms, changed, accepted, activity, covisits,
        pages, unwanted, totals,
    )  # fmt: skip
    changed = changed[:n_changed]
    embed_users(users, changed, *vectors, fold_rules, GAPS_S)
    return UserFold(
        changed, accepted[:n_accepted], activity[:n_accepted], covisits[:n_covisits],
        pages[:n_pages], unwanted[:n_unwanted], totals, watermarks_ms,
    )  # fmt: skip
