"""Screening: what of a round does not reach the user fold, because it must not count.

That is what was accepted before (`streams/deduplication.py`), and what people did who were erased
(`streams/erasures.py`). The fold would notice some of both by itself, by what a record holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import IMPRESSION, MAX_FUTURE_MS
from freshet.core.state.keys import Keys
from freshet.core.state.records import Records
from streams.deduplication import PartitionIds
from streams.erasures import is_forgotten
from streams.store import Changes, Position
from streams.user_fold import UserFold


@dataclass(frozen=True, slots=True)
class Screened:
    """A round that was screened.

    Attributes:
        events: (t,) of `EVENT_DTYPE`, those that the fold takes.
        left_out: rows of the totals that they leave out: `duplicates` and `erased` of each
            partition.
        taken: (t,) index of each in the round; None when it takes all.
    """

    events: NDArray[Any]
    left_out: Mapping[str, NDArray[np.int64]]
    taken: NDArray[np.int64] | None = None

    def restore(self, fold: UserFold) -> UserFold:
        """Return what the fold made of `events` as if it had been handed the whole round."""
        if self.taken is None:
            return fold
        for name, counts in self.left_out.items():
            fold.totals[name] += counts
        return replace(fold, accepted=self.taken[fold.accepted])


class Screening:
    """Screens rounds, and knows what was accepted lately of the partitions of a worker."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._ids: dict[int, PartitionIds] = {}

    def load(self, partition: int, fields: Mapping[str, bytes], position: Position) -> None:
        """Take what Redis holds of a partition that was assigned, in place of what was known."""
        self._ids[partition] = PartitionIds(fields, position)

    def impressions(self, partition: int) -> int:
        """Return how many impressions of a partition were accepted ever."""
        return self._ids[partition].impressions

    def changes(self, partition: int) -> list[Changes]:
        """Return what brings Redis up to date, one change or none."""
        return self._ids[partition].changes(self._keys.event_ids(partition))

    def screen(
        self,
        users: Records,
        events: NDArray[Any],
        ids: NDArray[np.uint64],
        partitions: Sequence[tuple[int, int]],
        watermarks_ms: NDArray[np.int64],
    ) -> Screened:
        """Return the events of a round that count, and remember them.

        Args:
            users: (n,) of `USER_DTYPE`.
            events: (e,) of `EVENT_DTYPE`, partition by partition.
            ids: (e,) of the events; see `streams.deduplication.event_ids`.
            partitions: the number of each partition and how many events it has, in that order.
            watermarks_ms: of all partitions, by number.
        """
        ahead = events["ts_ms"] > events["log_ts_ms"] + MAX_FUTURE_MS
        ts_ms = np.where(ahead, events["log_ts_ms"], events["ts_ms"])
        gone = is_forgotten(users["erased_ts_ms"][events["user"]], ts_ms, events["log_ts_ms"])
        impressions = events["type"] == IMPRESSION
        copies, start = np.zeros(len(events), np.bool_), 0
        for partition, count in partitions:
            of_it = slice(start, start := start + count)
            copies[of_it] = self._ids[partition].find_copies(
                users, events[of_it], ids[of_it], impressions[of_it], gone[of_it], ts_ms[of_it],
                int(watermarks_ms[partition]),
            )  # fmt: skip
        out = copies | gone
        if not out.any():
            return Screened(events, {})
        return Screened(
            events[~out],
            {
                name: np.bincount(events["source"][which], minlength=len(watermarks_ms))
                for name, which in (("duplicates", copies), ("erased", gone))
            },
            np.flatnonzero(~out),
        )
