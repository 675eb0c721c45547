"""The loops of the user fold, compiled: what becomes of a record, event by event.

Law: see `streams/user_fold.py`. And people are counted, not events: within a window, a user adds to
an item what the strongest of their events adds, and no more; whatever the types, the times and the
number of events are. Within the window means among the newest `window_acted` interactions of the
history, or in the marks of those that the history no longer shows. Where no mark is free any more,
nothing adds until the window ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.compiled import compiled, part, rows_of
from freshet.core.state.records import USER_DTYPE
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE
from streams.user_fold_rows import (
    EVENT_DTYPE,
    PAGE_ROW_DTYPE,
    RULES_DTYPE,
    TOTALS_DTYPE,
    UNWANTED_ROW_DTYPE,
)

_CLEAN = 0  # `dirty` of a user
_COUNTED = 1
_INTERACTED = 2
_NEW = 2  # `has_unwanted` of a user who had none


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
def _begin_window(user: Any, ts_ms: int, newest_ms: int, rule: Any) -> None:
    """Begin another window of contributions when the last one has ended.

    An event far behind the newest of its partition stands at the edge, so that nobody gets many
    windows by the times that they write into their events.
    """
    window_s = rule.contribution_window_s
    ts_s = max(ts_ms // 1000, newest_ms // 1000 - window_s)
    if ts_s - np.int64(user.window_ts_s) >= window_s:
        user.window_ts_s = ts_s
        user.window_acted = 0
        user.window_shown = 0
        user.recent_shown[:] = 0
        user.older[: user.n_older] = 0
        user.n_older = 0


@part
def _mark(item: int, kind: int) -> int:
    """Return 16 bits of an item: for an interaction with it, or for an impression of it."""
    mixed = (np.uint64(item) + np.uint64(kind)) * np.uint64(0x9E3779B97F4A7C15)
    return int(mixed >> np.uint64(48))


@part
def _holds(marks: NDArray[np.uint16], used: int, mark: int) -> bool:
    """Tell whether a mark is among the first that are in use."""
    for at in range(used):  # noqa: SIM110 - numba knows no generators
        if marks[at] == mark:
            return True
    return False


@part
def _show(user: Any, event: Any, rule: Any, row: Any, total: Any) -> None:
    """Let an impression add to its item, unless the user was shown it in the window.

    The first impressions of a window cost no memory but a short ring; see `SHOWN_UNMARKED`.
    """
    mark = _mark(event.item, 1)
    ring = len(user.recent_shown)
    held = _holds(user.recent_shown, min(user.window_shown, ring), mark)
    if user.window_shown >= rule.shown_unmarked:
        held = held or user.n_older >= rule.shown_marked or _holds(user.older, user.n_older, mark)
        if not held:
            user.older[user.n_older] = mark
            user.n_older += 1
    if held:
        total.held_impressions += 1
        return
    row.adds = rule.adds_rate
    user.recent_shown[user.window_shown % ring] = mark
    user.window_shown += 1


@part
def _act(
    user: Any, interactions: int, event: Any, rule: Any, row: Any, total: Any
) -> tuple[bool, bool]:
    """Write what an interaction adds to its item, beyond what the user added in the window.

    Together the events of a user add the weight of the strongest of them to the trend, one person,
    and one click.

    Returns:
        Whether the user has acted on the item in the window, as far as the history shows; and
        whether the event adds nothing to anything.
    """
    known = False
    strongest = 0
    person = False
    clicked = False
    for back in range(1, user.window_acted + 1):
        slot = user.history[(interactions - back) % len(user.history)]
        if slot.item == event.item:
            kind = slot.code >> 12
            known = True
            strongest = max(strongest, rule.trend_weight[kind])
            person |= rule.encoded[kind] != 0
            clicked |= kind == rule.click
    used_up = user.window_acted == len(user.history) and user.n_older == len(user.older)
    if used_up or _holds(user.older, user.n_older, _mark(event.item, 0)):
        total.held_interactions += rule.encoded[event.type] or rule.trend_weight[event.type] > 0
        return known, True
    row.weight = max(rule.trend_weight[event.type] - strongest, 0)
    if rule.encoded[event.type] and not person:
        row.adds |= rule.adds_person
    unshown = user.window_shown >= rule.shown_unmarked and user.n_older >= rule.shown_marked
    if event.type == rule.click and not clicked and not unshown:  # a rate is of one and the other
        row.adds |= rule.adds_rate
    total.held_interactions += rule.encoded[event.type] and not (row.weight or row.adds)
    return known, False


@part
def _count(total: Any, user: Any, ts_ms: int, ahead: bool, newest_ms: int, rule: Any) -> None:
    """Count an event that is applied, and what was the matter with its time."""
    total.applied += 1
    total.clamped += ahead
    total.late += ts_ms < newest_ms - rule.late_ms
    total.out_of_order += ts_ms < user.last_ts_ms
    total.changed += user.dirty == _CLEAN


@part
def _begin_activity(row: Any, event: Any, ts_ms: int, segment: int) -> None:
    """Write the activity row of an event that adds nothing yet."""
    row.source = event.source
    row.offset = event.offset
    row.ts_ms = ts_ms
    row.type = event.type
    row.segment = segment
    row.weight = 0
    row.adds = 0


@part
def _mark_forgotten(user: Any, interactions: int) -> None:
    """Remember the item of the window that the history is about to forget."""
    if user.window_acted < len(user.history):
        user.window_acted += 1
        return
    mark = _mark(user.history[interactions % len(user.history)].item, 0)
    if user.n_older < len(user.older) and not _holds(user.older, user.n_older, mark):
        user.older[user.n_older] = mark
        user.n_older += 1


@part
def _is_taken_back(
    user: Any, interactions: int, event: Any, ts_s: int, rule: Any, gaps_s: NDArray[np.int64]
) -> bool:
    """Tell whether a rejection that comes late was taken back by an event after it."""
    after_s = np.int64(user.history_ts_s)
    for back in range(1, min(interactions, len(user.history)) + 1):
        if after_s <= ts_s:
            break
        slot = user.history[(interactions - back) % len(user.history)]
        gap = slot.code & 0xFFF
        # What came late itself stands too high: of the two, the rejection is believed.
        if slot.item == event.item and rule.takes_back[slot.code >> 12] and gap != rule.late_gap:
            return True
        after_s -= gaps_s[gap]
    return False


@part
def _reject(
    user: Any, interactions: int, event: Any, ts_ms: int, rule: Any, gaps_s: NDArray[np.int64],
    row: Any,
) -> bool:  # fmt: skip
    """Write a rejection, or what takes one back; return whether there is one."""
    ts_s = ts_ms // 1000
    if rule.rejection[event.type]:
        if _is_taken_back(user, interactions, event, ts_s, rule, gaps_s):
            return False
        user.has_unwanted = user.has_unwanted or _NEW
    row.user = event.user
    row.source = event.source
    row.item = event.item
    row.ts_s = ts_s
    row.type = event.type
    return True


@part
def _has_followed(user: Any, interactions: int, previous: int, event: Any, rule: Any) -> bool:
    """Tell whether the user has made a transition in the window, as far as the history shows."""
    for back in range(1, user.window_acted + 1):
        slot = user.history[(interactions - back) % len(user.history)]
        kind = slot.code >> 12
        if slot.item != event.item or not rule.visit[kind]:
            continue
        distance = 0
        furthest = min(back + rule.visit_lookback, interactions, len(user.history))
        for further in range(back + 1, furthest + 1):
            before = user.history[(interactions - further) % len(user.history)]
            if not rule.visit[before.code >> 12]:
                continue
            distance += 1
            if before.item == previous and (previous != event.item or before.code >> 12 == kind):
                return True
            if distance == rule.covisit_distance:
                break
    return False


@part
def _follow(
    user: Any, interactions: int, event: Any, ts_ms: int, rule: Any, known: bool, held: bool,
    covisits: Any, n_covisits: int, total: Any,
) -> int:  # fmt: skip
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
        if (slot.item != event.item or kind == event.type) and (
            held or (known and _has_followed(user, interactions, slot.item, event, rule))
        ):
            total.held_transitions += 1
        elif slot.item != event.item or kind == event.type:
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
def _keep(user: Any, interactions: int, event: Any, rule: Any, page: Any) -> None:
    """Write the history, which is about to be written over from its first slot, into a page."""
    page.user = event.user
    page.source = event.source
    page.number = interactions // len(user.history) - 1
    for slot in range(len(user.history)):
        wanted = rule.encoded[user.history[slot].code >> 12]
        page["items"][slot] = user.history[slot].item if wanted else rule.left_out


@part
def _remember(user: Any, interactions: int, event: Any, ts_ms: int, rule: Any) -> None:
    """Write an interaction into the history.

    One that comes late stands at the time of the newest before it.
    """
    ts_s = max(ts_ms // 1000, np.int64(user.history_ts_s))
    gap_s = ts_s - user.history_ts_s if interactions else 0
    _mark_forgotten(user, interactions)
    slot = user.history[interactions % len(user.history)]
    slot.item = event.item
    is_late = interactions > 0 and ts_ms // 1000 < user.history_ts_s
    slot.code = event.type << 12 | (rule.late_gap if is_late else _gap_code(gap_s))
    user.history_ts_s = ts_s
    user.dirty = _INTERACTED


@part
def _gap_code(gap_s: int) -> int:
    """Return a gap as a floating point number of 8 significant bits; see `GAPS_S`."""
    exponent = 0
    while gap_s >> exponent > 0xFF:
        exponent += 1
    return (exponent << 7) + (gap_s >> exponent)


@compiled(
    rows_of(USER_DTYPE), rows_of(EVENT_DTYPE), rows_of(RULES_DTYPE), rows_of("i8"), rows_of("i8"),
    rows_of("i8"), rows_of("i8"), rows_of(ACTIVITY_DTYPE), rows_of(COVISIT_ROW_DTYPE),
    rows_of(PAGE_ROW_DTYPE), rows_of(UNWANTED_ROW_DTYPE), rows_of(TOTALS_DTYPE),
)  # fmt: skip
def fold_events(
    users: Any,
    events: Any,
    rules: Any,
    gaps_s: NDArray[np.int64],
    watermarks_ms: NDArray[np.int64],
    changed: NDArray[np.int64],
    accepted: NDArray[np.int64],
    activity: Any,
    covisits: Any,
    pages: Any,
    unwanted: Any,
    totals: Any,
) -> tuple[int, int, int, int, int]:
    """Fold event by event.

    Returns:
        How many users changed, events count, transitions, pages and rows of `unwanted` there are.
    """
    rule = rules[0]
    n_changed = n_accepted = n_covisits = n_pages = n_unwanted = 0
    for at in range(len(events)):
        event = events[at]
        user = users[event.user]
        total = totals[event.source]
        ahead = event.ts_ms > event.log_ts_ms + rule.max_future_ms
        ts_ms = event.log_ts_ms if ahead else event.ts_ms
        if ts_ms <= user.erased_ts_ms:
            total.erased += 1
            continue
        if _is_known(user.recent_events, event.event):
            total.duplicates += 1
            continue
        applied, interactions = _counts(user, rule)
        accepted[n_accepted] = at
        row = activity[n_accepted]
        n_accepted += 1
        newest_ms = watermarks_ms[event.source]
        watermarks_ms[event.source] = max(newest_ms, ts_ms)
        _count(total, user, ts_ms, ahead, newest_ms, rule)
        if user.dirty == _CLEAN:
            user.dirty = _COUNTED
            changed[n_changed] = event.user
            n_changed += 1

        _begin_activity(row, event, ts_ms, _segment(rule.segment_edges, interactions))
        _begin_window(user, ts_ms, newest_ms, rule)
        if event.type == rule.impression:
            _show(user, event, rule, row, total)
        known = held = False
        if rule.interaction[event.type]:
            known, held = _act(user, interactions, event, rule, row, total)
        if rule.visit[event.type]:
            n_covisits = _follow(
                user, interactions, event, ts_ms, rule, known, held, covisits, n_covisits, total
            )
        if rule.rejection[event.type] or (user.has_unwanted and rule.takes_back[event.type]):
            n_unwanted += _reject(
                user, interactions, event, ts_ms, rule, gaps_s, unwanted[n_unwanted]
            )
        if rule.interaction[event.type]:
            if interactions and interactions % len(user.history) == 0:
                _keep(user, interactions, event, rule, pages[n_pages])
                n_pages += 1
            _remember(user, interactions, event, ts_ms, rule)
        user.recent_events[applied % len(user.recent_events)] = event.event
        user.type_counts[event.type] += 1
        user.last_ts_ms = max(user.last_ts_ms, ts_ms)
    return n_changed, n_accepted, n_covisits, n_pages, n_unwanted
