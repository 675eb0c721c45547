"""What the state must say of one user and of what they added to items, from the events alone. Pure.

The slow and obvious twin of the user fold, for audits and tests: lists, sets and sums in place of
packed records. Two items that share 16 bits of a hash are one to the fold and two to this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from freshet.core.events.schema import (
    CLICK,
    ENCODED,
    IMPRESSION,
    INTERACTION,
    REJECTION,
    TAKES_BACK,
    TREND_WEIGHT,
    VISIT,
)
from freshet.core.state.records import HISTORY_LENGTH, OLDER_KEPT, RECENT_SHOWN
from streams.deltas import ADDS_PERSON, ADDS_RATE
from streams.user_fold_rows import SHOWN_MARKED, SHOWN_UNMARKED, VISIT_LOOKBACK

_BEFORE: Final = -(10**10)  # all times, s


class Interaction(NamedTuple):
    """An interaction: its item and type, and what the history tells of its time.

    Attributes:
        gap_s: to the interaction before, None for one that came late.
    """

    item: str
    kind: int
    gap_s: int | None


class Added(NamedTuple):
    """What an event added to its item.

    Attributes:
        weight: to the trend.
        adds: bits of `ADDS_PERSON` and `ADDS_RATE`.
        pairs: transitions, as (previous, next, distance).
        held_pairs: transitions that were held back.
    """

    weight: int = 0
    adds: int = 0
    pairs: tuple[tuple[str, str, int], ...] = ()
    held_pairs: int = 0


@dataclass(slots=True)
class UserTruth:
    """One user, event by event.

    Attributes:
        acted: all interactions, oldest first.
        unwanted: time in seconds and type of the rejection of each item, without those that had
            expired when the newest of them was made.
        in_window: how many interactions are of the window that began last.
        older: items of the window that the history no longer shows.
        shown: items of the impressions of the window that added, in their order.
        marked: those of them that took memory.
        applied: events that were taken.
        interacted_at: how many there were with the last interaction.
    """

    window_s: int
    covisit_distance: int = 2
    unwanted_ttl_s: int = 0
    acted: list[Interaction] = field(default_factory=list)
    unwanted: dict[str, tuple[int, int]] = field(default_factory=dict)
    began_s: int = _BEFORE
    newest_s: int = _BEFORE
    in_window: int = 0
    older: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)
    applied: int = 0
    interacted_at: int = 0

    def take(self, kind: int, item: str, ts_s: int, partition_s: int) -> Added:
        """Take the next event of the user.

        Args:
            kind: the type that it counts as.
            item: acted on.
            ts_s: event time.
            partition_s: newest event time of the partition before the event.
        """
        self.applied += 1
        at_s = max(ts_s, partition_s - self.window_s)
        if at_s - self.began_s >= self.window_s:
            self.began_s, self.in_window = at_s, 0
            self.older, self.shown, self.marked = set(), [], set()
        if kind == IMPRESSION:
            return Added(adds=self._show(item))
        added = self._add(kind, item)
        self._reject(kind, item, ts_s)
        if INTERACTION[kind]:
            self.interacted_at = self.applied
            self._remember(kind, item, ts_s)
        return added

    def _add(self, kind: int, item: str) -> Added:
        history = self.acted[-HISTORY_LENGTH:]
        recent = history[len(history) - min(self.in_window, HISTORY_LENGTH) :]
        kinds = [each.kind for each in recent if each.item == item]
        n_marks = len(self.older) + len(self.marked)
        pairs = self._pairs(history, item, kind) if VISIT[kind] else []
        used_up = self.in_window >= HISTORY_LENGTH and n_marks >= OLDER_KEPT
        if used_up or item in self.older:
            return Added(held_pairs=len(pairs))
        strongest = max((int(TREND_WEIGHT[each]) for each in kinds), default=0)
        adds = 0
        if ENCODED[kind] and not any(ENCODED[each] for each in kinds):
            adds |= ADDS_PERSON
        unshown = len(self.shown) >= SHOWN_UNMARKED and n_marks >= SHOWN_MARKED
        if kind == CLICK and CLICK not in kinds and not unshown:
            adds |= ADDS_RATE
        known: set[tuple[str, str]] = set()
        for at in range(len(history) - len(recent), len(history)):
            before = history[at]
            if VISIT[before.kind]:
                made = self._pairs(history[:at], before.item, before.kind)
                known |= {pair[:2] for pair in made}
        new = tuple(pair for pair in pairs if pair[:2] not in known)
        weight = max(int(TREND_WEIGHT[kind]) - strongest, 0)
        return Added(weight, adds, new, len(pairs) - len(new))

    def _pairs(self, before: list[Interaction], item: str, kind: int) -> list[tuple[str, str, int]]:
        """Return the transitions that a visit makes with the visits before it."""
        visits = [each for each in before[-VISIT_LOOKBACK:] if VISIT[each.kind]][::-1]
        return [
            (each.item, item, distance)
            for distance, each in enumerate(visits[: self.covisit_distance], start=1)
            if each.item != item or each.kind == kind
        ]

    def _show(self, item: str) -> int:
        if item in self.shown[-RECENT_SHOWN:]:
            return 0
        if len(self.shown) >= SHOWN_UNMARKED:
            if item in self.marked or len(self.older) + len(self.marked) >= SHOWN_MARKED:
                return 0
            self.marked.add(item)
        self.shown.append(item)
        return ADDS_RATE

    def _reject(self, kind: int, item: str, ts_s: int) -> None:
        rejected_s = self.unwanted.get(item, (_BEFORE, 0))[0]
        if rejected_s > ts_s:
            return
        if TAKES_BACK[kind]:
            self.unwanted.pop(item, None)
        elif REJECTION[kind] and not self._is_taken_back(item, ts_s):
            self.unwanted[item] = ts_s, kind
            newest_s = max(each_s for each_s, _ in self.unwanted.values())
            self.unwanted = {
                name: row
                for name, row in self.unwanted.items()
                if not self.unwanted_ttl_s or newest_s - row[0] < self.unwanted_ttl_s
            }

    def _is_taken_back(self, item: str, ts_s: int) -> bool:
        """Return whether the history shows that a rejection was taken back after it."""
        after_s = self.newest_s
        for each in self.acted[: -HISTORY_LENGTH - 1 : -1]:
            if after_s <= ts_s:
                return False
            if each.item == item and TAKES_BACK[each.kind] and each.gap_s is not None:
                return True
            after_s -= rounded(each.gap_s or 0)
        return False

    def _remember(self, kind: int, item: str, ts_s: int) -> None:
        n_marks = len(self.older) + len(self.marked)
        if self.in_window >= HISTORY_LENGTH and n_marks < OLDER_KEPT:
            self.older.add(self.acted[-HISTORY_LENGTH].item)
        self.in_window += 1
        gap_s = ts_s - self.newest_s if self.acted else 0
        self.acted.append(Interaction(item, kind, gap_s if gap_s >= 0 else None))
        self.newest_s = max(self.newest_s, ts_s)


def rounded(gap_s: int) -> int:
    """Return a gap as a history tells it: of 8 significant bits, in the middle of the rest.

    >>> rounded(255), rounded(256), rounded(1_001)
    (255, 257, 1002)
    """
    exponent = max(gap_s.bit_length() - 8, 0)
    return (gap_s >> exponent << exponent) + ((1 << exponent) >> 1)
