"""The user fold: events into the records of their users.

Law: what becomes of a record is a function of the record and of its events in their order, and
folding a log in one batch or in many gives the same bytes. So nothing here depends on a clock, on
the size of the batch or on who else is in it. What is early or late is told by the log alone: by
each record's own log time, and by the events before it in its partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, part, rows_of
from freshet.core.state.records import GAPS_S, USER_DTYPE, Records
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE
from streams.item_vectors import VectorTable
from streams.user_fold_rows import EVENT_DTYPE, PAGE_ROW_DTYPE, RULES_DTYPE, TOTALS_DTYPE

_CLEAN = 0  # `dirty` of a user
_COUNTED = 1
_INTERACTED = 2


@dataclass(frozen=True, slots=True)
class UserFold:
    """What the events of a round made, besides the records.

    Attributes:
        changed: (u,) rows of the users who are not what they were, partition by partition.
        accepted: (a,) index of each event that counts: not applied before, and not erased.
        activity: (a,) of `ACTIVITY_DTYPE`, one row per accepted event.
        covisits: (c,) of `COVISIT_ROW_DTYPE`, in the order of the events.
        pages: (p,) of `PAGE_ROW_DTYPE`, in the order of the events.
        totals: (partitions,) of `TOTALS_DTYPE`.
        watermarks_ms: (partitions,) newest time of an accepted event of each.
    """

    changed: NDArray[np.int64]
    accepted: NDArray[np.int64]
    activity: NDArray[Any]
    covisits: NDArray[Any]
    pages: NDArray[Any]
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
    totals = np.zeros(len(watermarks_ms), TOTALS_DTYPE)
    watermarks_ms = watermarks_ms.copy()
    n_changed, n_accepted, n_covisits, n_pages = _fold(
        users, events, fold_rules, watermarks_ms, changed, accepted, activity, covisits, pages,
        totals,
    )  # fmt: skip
    changed = changed[:n_changed]
    _embed(users, changed, *vectors, fold_rules, GAPS_S)
    return UserFold(
        changed, accepted[:n_accepted], activity[:n_accepted], covisits[:n_covisits],
        pages[:n_pages], totals, watermarks_ms,
    )  # fmt: skip


@part
def _is_known(recent_events: NDArray[np.uint64], event: int) -> bool:
    """Tell whether an event is among the last that were accepted of its user."""
    for recent in recent_events:  # noqa: SIM110 - numba knows no generators
        if recent == event:
            return True
    return False


@part
def _counts(user: Any, rule: Any) -> tuple[int, int]:
    """Return how many events of a user were applied, and how many of them are interactions."""
    applied = 0
    interactions = 0
    for kind in range(len(user.type_counts)):
        applied += user.type_counts[kind]
        if rule.interaction[kind]:
            interactions += user.type_counts[kind]
    return applied, interactions


@part
def _segment(edges: NDArray[np.uint32], interactions: int) -> int:
    """Return the bandit segment; see `freshet.core.state.records.segment_of`."""
    segment = 0
    for edge in edges:
        segment += interactions >= edge
    return segment


@part
def _follow(
    user: Any, interactions: int, event: Any, ts_ms: int, rule: Any, covisits: Any, n_covisits: int
) -> int:
    """Write the visits that this visit follows, the nearest first; return how many rows there are.

    A visit to the item of the visit before it counts only when both are of the same type: a click
    after a click is a return, a purchase after a click is the same visit going on.
    """
    distance = 0
    for back in range(1, min(interactions, rule.visit_lookback) + 1):
        slot = user.history[(interactions - back) % len(user.history)]
        kind = slot.code >> 12
        if not rule.visit[kind]:
            continue
        distance += 1
        if slot.item != event.item or kind == event.type:
            row = covisits[n_covisits]
            row.source = event.source
            row.offset = event.offset
            row.previous = slot.item
            row.next = event.item
            row.ts_s = ts_ms // 1000
            row.draw = event.event >> rule.draw_shift
            row.distance = distance
            n_covisits += 1
        if distance == rule.covisit_distance:
            break
    return n_covisits


@part
def _keep(user: Any, interactions: int, event: Any, page: Any) -> None:
    """Write the history, which is about to be written over from its first slot, into a page."""
    page.user = event.user
    page.source = event.source
    page.number = interactions // len(user.history) - 1
    for slot in range(len(user.history)):
        page["items"][slot] = user.history[slot].item


@part
def _remember(user: Any, interactions: int, event: Any, ts_ms: int) -> None:
    """Write an interaction into the history.

    One that comes late stands at the time of the newest before it.
    """
    ts_s = max(ts_ms // 1000, np.int64(user.history_ts_s))
    gap_s = ts_s - user.history_ts_s if interactions else 0
    slot = user.history[interactions % len(user.history)]
    slot.item = event.item
    slot.code = event.type << 12 | _gap_code(gap_s)
    user.history_ts_s = ts_s


@part
def _gap_code(gap_s: int) -> int:
    """Return a gap as a floating point number of 8 significant bits; see `GAPS_S`."""
    exponent = 0
    while gap_s >> exponent > 0xFF:
        exponent += 1
    return (exponent << 7) + (gap_s >> exponent)


@compiled(
    rows_of(USER_DTYPE), rows_of(EVENT_DTYPE), rows_of(RULES_DTYPE), rows_of("i8"),
    rows_of("i8"), rows_of("i8"), rows_of(ACTIVITY_DTYPE), rows_of(COVISIT_ROW_DTYPE),
    rows_of(PAGE_ROW_DTYPE), rows_of(TOTALS_DTYPE),
)  # fmt: skip
def _fold(
    users: Any,
    events: Any,
    rules: Any,
    watermarks_ms: NDArray[np.int64],
    changed: NDArray[np.int64],
    accepted: NDArray[np.int64],
    activity: Any,
    covisits: Any,
    pages: Any,
    totals: Any,
) -> tuple[int, int, int, int]:
    """Fold event by event.

    Returns:
        How many users changed, events count, transitions and pages there are.
    """
    rule = rules[0]
    n_changed = 0
    n_accepted = 0
    n_covisits = 0
    n_pages = 0
    for at in range(len(events)):
        event = events[at]
        user = users[event.user]
        total = totals[event.source]
        ts_ms = event.ts_ms
        ahead = ts_ms > event.log_ts_ms + rule.max_future_ms
        if ahead:
            ts_ms = event.log_ts_ms
        if ts_ms <= user.erased_ts_ms:
            total.erased += 1
            continue
        if _is_known(user.recent_events, event.event):
            total.duplicates += 1
            continue
        applied, interactions = _counts(user, rule)
        row = activity[n_accepted]
        row.source = event.source
        row.offset = event.offset
        row.ts_ms = ts_ms
        row.type = event.type
        row.segment = _segment(rule.segment_edges, interactions)
        accepted[n_accepted] = at
        n_accepted += 1
        newest_ms = watermarks_ms[event.source]
        watermarks_ms[event.source] = max(newest_ms, ts_ms)
        total.applied += 1
        total.clamped += ahead
        total.late += ts_ms < newest_ms - rule.late_ms
        total.out_of_order += ts_ms < user.last_ts_ms

        if user.dirty == _CLEAN:
            user.dirty = _COUNTED
            changed[n_changed] = event.user
            n_changed += 1
            total.changed += 1
        if rule.visit[event.type]:
            n_covisits = _follow(user, interactions, event, ts_ms, rule, covisits, n_covisits)
        if rule.interaction[event.type]:
            if interactions and interactions % len(user.history) == 0:
                _keep(user, interactions, event, pages[n_pages])
                n_pages += 1
            _remember(user, interactions, event, ts_ms)
            user.dirty = _INTERACTED
        user.recent_events[applied % len(user.recent_events)] = event.event
        user.type_counts[event.type] += 1
        user.last_ts_ms = max(user.last_ts_ms, ts_ms)
    return n_changed, n_accepted, n_covisits, n_pages


@compiled(numba.uint32, rows_of("u4"), rows_of("i8"), numba.int64)
def row_of(asked: int, hashes: NDArray[np.uint32], starts: NDArray[np.int64], shift: int) -> int:
    """Return the row of a hash, -1 when it is not there; see `VectorTable`."""
    row = starts[asked >> shift]
    while row < len(hashes) and hashes[row] < asked:
        row += 1
    return row if row < len(hashes) and hashes[row] == asked else -1


@compiled(
    rows_of(USER_DTYPE), rows_of("i8"), numba.int64, rows_of("u4"), rows_of("i8"), numba.int64,
    rows_of("f4", dimensions=2), rows_of(RULES_DTYPE), rows_of("i8"),
)  # fmt: skip
def _embed(
    users: Any,
    changed: NDArray[np.int64],
    tag: int,
    hashes: NDArray[np.uint32],
    starts: NDArray[np.int64],
    shift: int,
    vectors: NDArray[np.float32],
    rules: Any,
    gaps_s: NDArray[np.int64],
) -> None:
    """Write the session embeddings that a new interaction or another bundle has made stale.

    The compiled twin of `session_sum` and `quantized` in `online_models/maths/session.py`.
    """
    rule = rules[0]
    total = np.empty(vectors.shape[1], np.float32)
    for row in changed:
        user = users[row]
        interacted = user.dirty == _INTERACTED
        user.dirty = _CLEAN
        if user.model_tag == tag and not (interacted and tag):
            continue
        user.model_tag = tag
        _, interactions = _counts(user, rule)
        total[:] = 0
        age_s = 0
        for back in range(1, min(interactions, rule.session_events) + 1):
            slot = user.history[(interactions - back) % len(user.history)]
            at = row_of(slot.item, hashes, starts, shift)
            preference = rule.preference[slot.code >> 12]
            if at >= 0 and preference:
                decay = np.exp2(-age_s / rule.session_half_life_s)
                weight = np.float32(preference * decay)
                for axis in range(len(total)):
                    total[axis] += weight * vectors[at, axis]
            age_s += gaps_s[slot.code & 0xFFF]
        largest = np.float32(0)
        for axis in range(len(total)):
            largest = max(largest, abs(total[axis]))
        scale = np.float32(127) / largest if largest > 1e-6 else np.float32(0)
        for axis in range(len(total)):
            user.embedding[axis] = np.rint(total[axis] * scale)
