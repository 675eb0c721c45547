"""A recorded log as arrays in the order of time, ready to be lived again.

Law: time order is the only order. Ties keep the order of the file, so that the same log always
trains the same model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from freshet.core.errors import FreshetError
from freshet.core.events.examples import MOST_DWELL_S
from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import (
    INTERACTION,
    PREFERENCE,
    TYPE_CODES,
    VISIT,
    Event,
    Item,
    effective_type,
)
from freshet.core.settings import Settings

LEAST_TARGETS = 200
"""A log with fewer visits teaches nothing that a counter does not know."""

TARGET = VISIT & (PREFERENCE > 0)
"""(n_types,) bool: the types that a recommendation tries to foresee."""


class LogTooShortError(FreshetError):
    """A log from which nothing can be learned."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"the log holds {found} clicks, views, purchases or ratings; training needs "
            f"{LEAST_TARGETS} at least: record more, or `freshet generate` a log"
        )


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """The events of a log, n of them, over its items.

    Attributes:
        items: catalogue entries; an item without one has an entry of its own, without content.
        hashes: (n_items,) uint32 of the item ids.
        created_ts_ms: (n_items,) as the catalogue says, 0 = unknown.
        user: (n,) number of each event's user.
        item: (n,) row of each event's item.
        kind: (n,) code of the type that each event counts as; see `effective_type`.
        ts_ms: (n,) event times, ascending.
        dwell_s: (n,) float64, how long a `dwell` lasted, 0 for all other types.
        draw: (n,) uint32 random bits of each event, from its id.
        n_users: number of users.
    """

    items: list[Item]
    hashes: NDArray[np.uint32]
    created_ts_ms: NDArray[np.int64]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    kind: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    dwell_s: NDArray[np.float64]
    draw: NDArray[np.uint32]
    n_users: int

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.ts_ms)

    def cut(self, share: float) -> int:
        """Return the event before which so much of the interactions lie."""
        interactions = np.flatnonzero(INTERACTION[self.kind])
        return int(interactions[min(int(share * len(interactions)), len(interactions) - 1)])

    def exists_from(self) -> NDArray[np.int64]:
        """Return (n_items,) the first event at which each item may be offered.

        That is from its creation on, or behind its first event when the catalogue is silent.
        """
        exists = np.full(len(self.items), len(self) + 1)
        acted_on, first = np.unique(self.item, return_index=True)
        exists[acted_on] = first + 1
        created = self.created_ts_ms
        by_catalogue = np.searchsorted(self.ts_ms, created, side="left")
        return np.where(created > 0, np.minimum(exists, by_catalogue), exists)


def build_log(
    events: Iterable[Event], items: Sequence[Item], *, low_rating: float | None = None
) -> TrainingLog:
    """Return the log of these events.

    Args:
        events: in any order.
        items: the catalogue; items of events that are not in it are added without content.
        low_rating: the most stars of a dislike; as the setting is by default where it is None.

    Raises:
        LogTooShortError: when there is too little to learn from.
    """
    catalogue = {item.item_id: item for item in items}
    users: dict[str, int] = {}
    low = Settings().low_rating if low_rating is None else low_rating
    rows: list[tuple[int, str, int, int, float, int]] = []
    for event in events:
        user = users.setdefault(event.user_id, len(users))
        draw = xxhash.xxh3_64_intdigest(event.event_id.encode()) >> 32
        kind = effective_type(TYPE_CODES[event.type], event.value, low)
        rows.append((user, event.item_id, kind, event.ts_ms, _dwell_s(event), draw))
        if event.item_id not in catalogue:
            catalogue[event.item_id] = Item(item_id=event.item_id)
    targets = sum(bool(TARGET[row[2]]) for row in rows)
    if targets < LEAST_TARGETS:
        raise LogTooShortError(targets)
    row_of = {item_id: row for row, item_id in enumerate(catalogue)}
    users_of, ids, kinds, times_of, dwells, draws = zip(*rows, strict=True)
    times = np.array(times_of, np.int64)
    order = np.argsort(times, kind="stable")
    entries = list(catalogue.values())
    return TrainingLog(
        items=entries,
        hashes=item_hashes(list(catalogue)),
        created_ts_ms=np.array([entry.created_ts_ms or 0 for entry in entries], np.int64),
        user=np.array(users_of, np.int64)[order],
        item=np.array([row_of[each] for each in ids], np.int64)[order],
        kind=np.array(kinds, np.int64)[order],
        ts_ms=times[order],
        dwell_s=np.array(dwells, np.float64)[order],
        draw=np.array(draws, np.uint32)[order],
        n_users=len(users),
    )


def _dwell_s(event: Event) -> float:
    """Return how long a dwell lasted, within the bounds that the joiner keeps too."""
    if event.type != "dwell":
        return 0.0
    return float(np.clip(np.nan_to_num(event.value or 0.0), 0, MOST_DWELL_S))
