"""The user fold: events into the records of their users. Pure.

Law: the result is a function of the users and of the events in their order, and folding a log in
one batch or in many gives the same bytes. So nothing here depends on a clock, on the size of the
batch or on who else is in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.codec import EVENT_HASH_BITS
from freshet.core.events.schema import INTERACTION, PREFERENCE, VISIT
from freshet.core.state.records import (
    HISTORY_LENGTH,
    RECENT_EVENT_IDS,
    Records,
    applied_events,
    history_codes,
    interactions,
    newest_history,
    segment_of,
)
from online_models.maths.session import SESSION_EVENTS, quantized, session_sum
from streams.deltas import ACTIVITY_DTYPE, COVISIT_ROW_DTYPE
from streams.event_time import newest_before

VISIT_LOOKBACK = 10
"""Most interactions from a visit to the next for the two to make a transition."""

_EMBEDDED_TOGETHER = 512  # users whose vectors, 2.5 kB each, fit into a processor's cache

VectorLookup = Callable[[NDArray[np.uint32]], NDArray[np.float32]]
"""Item hashes (n,) to vectors (n, d), zero where an item has none."""


@dataclass(frozen=True, slots=True)
class UserEvents:
    """Events as columns, those of a partition in the order of their offsets.

    Attributes:
        user: (e,) int64 row of the user among the records given to the fold.
        source: (e,) int64 partition that holds the event.
        offset: (e,) int64.
        ts_ms: (e,) int64 event time.
        type: (e,) uint8 code of the type.
        item: (e,) uint32 hash of the item.
        event: (e,) uint64 hash of the event id.
    """

    user: NDArray[np.int64]
    source: NDArray[np.int64]
    offset: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    type: NDArray[np.uint8]
    item: NDArray[np.uint32]
    event: NDArray[np.uint64]

    def take(self, rows: NDArray[Any]) -> UserEvents:
        """Return the events at `rows`, in that order."""
        return UserEvents(
            self.user[rows],
            self.source[rows],
            self.offset[rows],
            self.ts_ms[rows],
            self.type[rows],
            self.item[rows],
            self.event[rows],
        )


@dataclass(frozen=True, slots=True)
class UserFold:
    """What a batch of events made.

    Attributes:
        users: (u,) of `USER_DTYPE`, the new records.
        accepted: (e,) bool, False for an event that had been counted before or was erased.
        erased: (e,) bool, events of people who were erased since.
        activity: (a,) of `ACTIVITY_DTYPE`, one row per accepted event, in order.
        out_of_order: (a,) bool, accepted events that are older than one of their user before.
        covisits: (c,) of `COVISIT_ROW_DTYPE`.
    """

    users: Records
    accepted: NDArray[np.bool_]
    erased: NDArray[np.bool_]
    activity: NDArray[Any]
    out_of_order: NDArray[np.bool_]
    covisits: NDArray[Any]


@dataclass(frozen=True, slots=True)
class UserFoldOptions:
    """The part of the settings that shapes the user state."""

    covisit_distance: int
    session_half_life_s: float


def fold_users(
    users: Records,
    events: UserEvents,
    vectors: VectorLookup,
    model_tag: int,
    options: UserFoldOptions,
) -> UserFold:
    """Fold events into the records of their users.

    Args:
        users: (u,) of `USER_DTYPE`; every one has an event in the batch. Left as they are.
        events: (e,) events.
        vectors: finds item vectors of the bundle named by `model_tag`.
        model_tag: tag of that bundle, 0 when there is none.
        options: see `UserFoldOptions`.
    """
    users = users.copy()
    erased = events.ts_ms <= users["erased_ts_ms"][events.user]
    accepted = _accepted_unless(erased, users, events)
    kept = events if accepted.all() else events.take(np.flatnonzero(accepted))
    order = np.argsort(kept.user, kind="stable")
    by_user = kept.take(order)
    rank, _ = _ranks(by_user.user, len(users))
    interacts = INTERACTION[by_user.type]
    history = by_user.take(np.flatnonzero(interacts))
    before = interactions(users)
    earlier = _running_count(interacts, by_user.user, len(users))

    activity = np.empty(len(order), ACTIVITY_DTYPE)
    activity["source"][order] = by_user.source
    activity["offset"][order] = by_user.offset
    activity["ts_ms"][order] = by_user.ts_ms
    activity["type"][order] = by_user.type
    activity["segment"][order] = segment_of(before[by_user.user] + earlier)
    out_of_order = np.empty(len(order), np.bool_)
    newest_ts_ms = newest_before(by_user.user, by_user.ts_ms, users["last_ts_ms"])
    out_of_order[order] = by_user.ts_ms < newest_ts_ms
    covisits = _transitions(users, before, history, options.covisit_distance)

    _remember(users, before, history)
    _count(users, by_user, rank)
    _embed(users, history.user, vectors, model_tag, options.session_half_life_s)
    return UserFold(users, accepted, erased, activity, out_of_order, covisits)


def _accepted_unless(
    erased: NDArray[np.bool_], users: Records, events: UserEvents
) -> NDArray[np.bool_]:
    """Return which events were not applied before and are not erased, (e,) bool."""
    if not erased.any():
        return accepted_events(users, events)
    accepted = np.zeros(len(erased), np.bool_)
    rest = np.flatnonzero(~erased)
    accepted[rest] = accepted_events(users, events.take(rest))
    return accepted


def accepted_events(users: Records, events: UserEvents) -> NDArray[np.bool_]:
    """Return which events were not applied before, (e,) bool.

    An event is a duplicate when its id is among the last `RECENT_EVENT_IDS` accepted of its user.
    """
    known = (users["recent_events"][events.user] == events.event[:, None]).any(axis=1)
    distinct = len(np.unique(events.event)) == len(events.event)
    accepted = np.ones(len(events.event), np.bool_)
    if distinct and not known.any():
        return accepted
    suspects = set(events.user[known].tolist())
    if not distinct:
        _, first, counts = np.unique(events.event, return_index=True, return_counts=True)
        repeated = np.isin(events.event, events.event[first[counts > 1]])
        suspects |= set(events.user[repeated].tolist())
    for user in suspects:
        rows = np.flatnonzero(events.user == user)
        accepted[rows] = _accepted_one_by_one(users[user], events.event[rows].tolist())
    return accepted


def _accepted_one_by_one(user: np.void, event_hashes: list[int]) -> list[bool]:
    applied = int(applied_events(user))
    known = min(applied, RECENT_EVENT_IDS)
    ring = user["recent_events"]
    oldest_first = [int(ring[(applied - known + i) % RECENT_EVENT_IDS]) for i in range(known)]
    recent: deque[int] = deque(oldest_first, maxlen=RECENT_EVENT_IDS)
    accepted = []
    for event in event_hashes:
        accepted.append(event not in recent)
        if accepted[-1]:
            recent.append(event)
    return accepted


def _ranks(user: NDArray[np.int64], n_users: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each row's rank among its user's rows, and the rows per user; sorted by user."""
    count = np.bincount(user, minlength=n_users).astype(np.int64)
    first = np.cumsum(count) - count
    return np.arange(len(user)) - first[user], count


def _running_count(
    flags: NDArray[np.bool_], user: NDArray[np.int64], n_users: int
) -> NDArray[np.int64]:
    """Return how many earlier rows of the same user are flagged; rows sorted by user."""
    flagged = flags.astype(np.int64)
    total = np.cumsum(flagged) - flagged  # over all users
    per_user = np.bincount(user, weights=flagged, minlength=n_users).astype(np.int64)
    return np.asarray(total - (np.cumsum(per_user) - per_user)[user])


def _count(users: Records, events: UserEvents, rank: NDArray[np.int64]) -> None:
    """Count the events and keep their ids; rows sorted by user."""
    user = events.user
    count = np.bincount(user, minlength=len(users))
    newest = rank >= count[user] - RECENT_EVENT_IDS
    slot = (applied_events(users)[user] + rank) % RECENT_EVENT_IDS
    users["recent_events"][user[newest], slot[newest]] = events.event[newest]
    np.add.at(users["type_counts"], (user, events.type), 1)
    last_ts_ms = users["last_ts_ms"].copy()
    np.maximum.at(last_ts_ms, user, events.ts_ms)
    users["last_ts_ms"] = last_ts_ms


def _remember(users: Records, before: NDArray[np.int64], history: UserEvents) -> None:
    """Write the interactions into the history; rows sorted by user, counters not yet moved."""
    user = history.user
    rank, count = _ranks(user, len(users))
    number = before[user] + rank
    times_s, gaps_s = _history_times(users, number, history)
    newest = rank >= count[user] - HISTORY_LENGTH
    row, slot = user[newest], number[newest] % HISTORY_LENGTH
    users["history"]["item"][row, slot] = history.item[newest]
    users["history"]["code"][row, slot] = history_codes(history.type, gaps_s)[newest]
    last = rank == count[user] - 1
    users["history_ts_s"][user[last]] = times_s[last]


def _history_times(
    users: Records, number: NDArray[np.int64], history: UserEvents
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each interaction's time and the gap before it, s; rows sorted by user.

    An interaction that comes late stands at the time of the newest before it.
    """
    event_s = history.ts_ms // 1000
    previous_s = newest_before(history.user, event_s, users["history_ts_s"].astype(np.int64))
    times_s = np.maximum(event_s, previous_s)
    return times_s, np.where(number == 0, 0, times_s - previous_s)


def _embed(
    users: Records,
    interacting: NDArray[np.int64],
    vectors: VectorLookup,
    model_tag: int,
    half_life_s: float,
) -> None:
    """Write the session embeddings of the newest interactions, in the space of the bundle.

    Only where they differ from the ones that are there: a new interaction, or another bundle.
    """
    stale = users["model_tag"] != model_tag
    stale[interacting] = model_tag != 0
    chosen = np.flatnonzero(stale)
    for start in range(0, len(chosen), _EMBEDDED_TOGETHER):
        block = chosen[start : start + _EMBEDDED_TOGETHER]
        items, types, ages_s, exist = newest_history(users, block, SESSION_EVENTS)
        found = vectors(items.ravel()).reshape(len(block), SESSION_EVENTS, -1)  # (u, k, d)
        weights = np.where(exist, PREFERENCE[types], np.float32(0))
        users["embedding"][block] = quantized(session_sum(found, weights, ages_s, half_life_s))
    users["model_tag"][chosen] = model_tag


def _transitions(
    users: Records, before: NDArray[np.int64], history: UserEvents, max_distance: int
) -> NDArray[Any]:
    """Return the visits that followed visits; `users` still stand before the batch.

    A visit to the item of the visit before it counts only when both are of the same type: a click
    after a click is a return, a purchase after a click is the same visit going on.
    """
    rank, _ = _ranks(history.user, len(users))
    number = before[history.user] + rank
    visiting = np.flatnonzero(VISIT[history.type])
    visits = history.take(visiting)
    stored = _stored_visits(users, before, np.unique(visits.user), max_distance)
    user = np.r_[stored.user, visits.user]
    item = np.r_[stored.item, visits.item]
    kind = np.r_[stored.type, visits.type]
    numbers = np.r_[stored.number, number[visiting]]
    batch_row = np.r_[np.full(len(stored.user), -1), np.arange(len(visits.user))]
    order = np.argsort(user, kind="stable")  # stored visits come first, oldest first
    user, item, kind = user[order], item[order], kind[order]
    numbers, batch_row = numbers[order], batch_row[order]
    parts = []
    for distance in range(1, max_distance + 1):
        now, then = slice(distance, None), slice(None, -distance)
        pairs = (user[now] == user[then]) & (batch_row[now] >= 0)
        pairs &= numbers[now] - numbers[then] <= VISIT_LOOKBACK
        pairs &= (item[now] != item[then]) | (kind[now] == kind[then])
        at = np.flatnonzero(pairs)
        rows = batch_row[now][at]
        part = np.empty(len(at), COVISIT_ROW_DTYPE)
        part["source"] = visits.source[rows]
        part["offset"] = visits.offset[rows]
        part["previous"] = item[then][at]
        part["next"] = visits.item[rows]
        part["ts_s"] = visits.ts_ms[rows] // 1000
        part["draw"] = visits.event[rows] >> np.uint64(EVENT_HASH_BITS - 32)
        part["distance"] = distance
        parts.append(part)
    covisits = np.concatenate(parts)
    return covisits[np.lexsort((covisits["distance"], covisits["offset"], covisits["source"]))]


class _Visits(NamedTuple):
    """Visits of the histories, (v,) each: user row, interaction number, item and type."""

    user: NDArray[np.int64]
    number: NDArray[np.int64]
    item: NDArray[np.uint32]
    type: NDArray[np.uint8]


def _stored_visits(
    users: Records, before: NDArray[np.int64], chosen: NDArray[np.int64], length: int
) -> _Visits:
    """Return the newest visits in the histories of the chosen users, oldest first."""
    items, types, _, exist = newest_history(users, chosen, VISIT_LOOKBACK)
    visited = VISIT[types] & exist  # (u, VISIT_LOOKBACK)
    kept = visited & (np.cumsum(visited, axis=1) <= length)
    row, column = np.nonzero(kept[:, ::-1])  # reversed: oldest first
    back = VISIT_LOOKBACK - 1 - column
    user = chosen[row]
    return _Visits(user, before[user] - 1 - back, items[row, back], types[row, back])
