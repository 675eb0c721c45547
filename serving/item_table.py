"""What is known of every item, as arrays by row, in this process.

Law: a row never moves and never disappears, so a row number found anywhere in a request stays
true for the whole request. An item is recommendable when the catalogue offers it; an item that was
only ever acted on has a row, because histories name it, and is never recommended.

Trending rates are kept as they stood when the record was taken: they decay exponentially, so the
rate at any later time is one multiplication, and no timer has to touch the counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.partition import item_hashes
from freshet.core.events.schema import Item
from freshet.core.state.records import (
    COVISIT_CAPACITY,
    SEGMENTS,
    TREND_HALF_LIVES_S,
    Records,
    unpack_covisits,
)
from online_models.maths.covisitation import transition_scores
from online_models.maths.trending import trend_rates

MAX_CATEGORIES: Final = 32  # as many as the schema lets an item have
TRANSITIONS_KEPT: Final = 100  # of an item, likeliest first
TRANSITION_LISTS_KEPT: Final = 20_000
_HALF_LIVES_MS: Final = np.array(TREND_HALF_LIVES_S, np.float32) * 1000

Kept = TypeVar("Kept")
Rows = NDArray[np.int64]
"""(n,) row numbers of the table; -1 is an item without a row."""


class Sample(NamedTuple):
    """The transitions out of one item that were kept, s of them.

    Attributes:
        rows: (s,) rows visited next, -1 where one has none.
        ts_s: (s,) event times, s.
        distance: (s,) visits between the two items, from 1.
    """

    rows: Rows
    ts_s: NDArray[np.uint32]
    distance: NDArray[np.uint8]


class ItemTable:
    """A structure of arrays over the items, growing by doubling.

    Attributes:
        size: rows in use; every array is at least as long.
        ids: (size,) item ids.
        entries: (size,) catalogue entries; None for an item that is not offered.
        offered: (capacity,) bool, whether the catalogue offers the item.
        created_ts_ms: (capacity,) int64, from the catalogue; 0 = not known.
        first_ts_ms, last_ts_ms: (capacity,) int64, oldest and newest event time; 0 = no event.
        rates: (capacity, n_half_lives) float32, events/s as they stood at `rates_ts_ms`.
        rates_ts_ms: (capacity,) int64.
        interactions: (capacity,) uint32, users who acted on an item, each once in a window.
        impressions, clicks: (capacity, SEGMENTS) uint32.
        categories: (capacity, MAX_CATEGORIES) int32 codes of the categories, -1 = none.
        category_width: most categories of an item so far; the columns beyond are all -1.
        version: rises with every change.
        now_ms: newest event time known, 0 before the first event.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self.size = 0
        self.version = 0
        self.category_width = 0
        self.now_ms = 0
        self.ids: list[str] = []
        self.entries: list[Item | None] = []
        self.category_codes: dict[str, int] = {}
        self._hashes = np.zeros(capacity, np.uint32)
        self.offered = np.zeros(capacity, bool)
        self.created_ts_ms = np.zeros(capacity, np.int64)
        self.first_ts_ms = np.zeros(capacity, np.int64)
        self.last_ts_ms = np.zeros(capacity, np.int64)
        self.rates = np.zeros((capacity, len(TREND_HALF_LIVES_S)), np.float32)
        self.rates_ts_ms = np.zeros(capacity, np.int64)
        self.interactions = np.zeros(capacity, np.uint32)
        self.impressions = np.zeros((capacity, SEGMENTS), np.uint32)
        self.clicks = np.zeros((capacity, SEGMENTS), np.uint32)
        self.categories = np.full((capacity, MAX_CATEGORIES), -1, np.int32)
        self._row_by_id: dict[str, int] = {}
        self._row_by_hash: dict[int, int] = {}
        self._rows_by_category: dict[str, set[int]] = {}
        self._covisits: dict[int, bytes] = {}
        self._transitions: dict[int, tuple[Rows, NDArray[np.float32]]] = {}
        self._samples: dict[int, Sample] = {}

    # --- reading ---

    def row(self, item_id: str) -> int:
        """Return the row of an item, -1 when it was never heard of."""
        return self._row_by_id.get(item_id, -1)

    def offers(self, item_id: str) -> bool:
        """Return whether the catalogue offers an item."""
        row = self.row(item_id)
        return row >= 0 and bool(self.offered[row])

    def offered_ids(self) -> set[str]:
        """Return the ids of all items that the catalogue offers."""
        return {self.ids[row] for row in np.flatnonzero(self.offered[: self.size]).tolist()}

    def rows(self, item_ids: Iterable[str]) -> Rows:
        """Return the rows of items, -1 where one was never heard of."""
        find = self._row_by_id.get
        return np.array([find(item_id, -1) for item_id in item_ids], np.int64)

    def rows_of_hashes(self, hashes: NDArray[np.uint32]) -> Rows:
        """Return the rows of items named by their hashes, -1 where one was never heard of."""
        find = self._row_by_hash.get
        return np.array([find(value, -1) for value in hashes.tolist()], np.int64)

    def hashes(self, rows: Rows) -> NDArray[np.uint32]:
        """Return the (n,) uint32 hashes of rows."""
        return self._hashes[rows]

    def transitions(
        self, row: int, now_ms: int, half_life_s: float
    ) -> tuple[Rows, NDArray[np.float32]]:
        """Return where the visitors of an item went next, likeliest first.

        The shares are kept until the transitions change: time weighs down all transitions of an
        item alike, so they stay true.

        Args:
            row: the item.
            now_ms: event time.
            half_life_s: a transition so old weighs half.

        Returns:
            (m <= TRANSITIONS_KEPT,) rows, and the (m,) share of the visitors that went there.
        """
        item_hash = int(self._hashes[row])
        kept = self._transitions.get(item_hash)
        if kept is None:
            rows, shares = self._count_transitions(item_hash, now_ms, half_life_s)
            known = rows >= 0
            kept = rows[known], shares[known]
            if known.all():
                _keep(self._transitions, item_hash, kept)
        return kept

    def sample(self, row: int) -> Sample:
        """Return the transitions out of an item that were kept."""
        item_hash = int(self._hashes[row])
        kept = self._samples.get(item_hash)
        if kept is None:
            rows = unpack_covisits(self._covisits.get(item_hash))
            kept = Sample(
                self.rows_of_hashes(rows["next"]),
                np.ascontiguousarray(rows["ts_s"]),
                np.ascontiguousarray(rows["distance"]),
            )
            if (kept.rows >= 0).all():
                _keep(self._samples, item_hash, kept)
        return kept

    def rates_at(self, rows: Rows, now_ms: int) -> NDArray[np.float32]:
        """Return the trending rates of rows at a time.

        Args:
            rows: (n,) rows.
            now_ms: event time, not before `rates_ts_ms`.

        Returns:
            (n, n_half_lives) float32, events/s.
        """
        return self.rates[rows] * decay(self.rates_ts_ms[rows, None], now_ms, _HALF_LIVES_MS)

    def codes(self, rows: Rows) -> NDArray[np.int32]:
        """Return the codes of the categories of rows, (n, category_width), -1 = none."""
        return self.categories[rows, : self.category_width]

    def in_categories(self, rows: Rows, categories: Iterable[str]) -> NDArray[np.bool_]:
        """Return (n,) bool: whether a row has one of the categories."""
        codes = [self.category_codes[name] for name in categories if name in self.category_codes]
        return np.asarray(np.isin(self.codes(rows), codes).any(axis=1))

    def rows_in_categories(self, categories: Iterable[str]) -> Rows:
        """Return the distinct rows that are offered in one of the categories."""
        categories = list(categories)
        listed = set[int]().union(*(self._rows_by_category.get(name, ()) for name in categories))
        rows = np.sort(np.fromiter(listed, np.int64, len(listed)))
        # An item may have left a category since it was listed there.
        return rows[self.offered[rows] & self.in_categories(rows, categories)]

    # --- writing ---

    def put_records(self, item_ids: Sequence[str], records: Records) -> None:
        """Take the newest records of items.

        Args:
            item_ids: (n,) distinct ids.
            records: (n,) of `ITEM_DTYPE`.
        """
        if not item_ids:
            return
        rows = self._rows_for(item_ids)
        last_ts_ms = records["last_ts_ms"]
        self.first_ts_ms[rows] = records["first_ts_ms"]
        self.last_ts_ms[rows] = last_ts_ms
        self.now_ms = max(self.now_ms, int(last_ts_ms.max()))
        self.rates_ts_ms[rows] = self.now_ms
        self.rates[rows] = trend_rates(
            records["trend"], last_ts_ms, self.now_ms, TREND_HALF_LIVES_S
        )
        self.interactions[rows] = records["people"]
        self.impressions[rows] = records["impressions"]
        self.clicks[rows] = records["clicks"]
        self.version += 1

    def put_covisits(self, hashes: Iterable[int], blobs: Iterable[bytes | None]) -> None:
        """Take the newest packed transitions out of items; None forgets them."""
        for value, blob in zip(hashes, blobs, strict=True):
            self._transitions.pop(value, None)
            self._samples.pop(value, None)
            if blob is None:
                self._covisits.pop(value, None)
            else:
                self._covisits[value] = blob
        self.version += 1

    def offer(self, items: Sequence[Item]) -> None:
        """Take catalogue entries: from now on these items are recommendable."""
        if not items:
            return
        rows = self._rows_for([item.item_id for item in items])
        for row, item in zip(rows.tolist(), items, strict=True):
            self.entries[row] = item
            codes = [self._list_in_category(row, name) for name in item.categories]
            self.category_width = max(self.category_width, len(codes))
            self.categories[row] = -1
            self.categories[row, : len(codes)] = codes
            self.created_ts_ms[row] = item.created_ts_ms or 0
            self.offered[row] = True
        self.version += 1

    def withdraw(self, item_ids: Iterable[str]) -> None:
        """Stop offering items; what was counted of them stays."""
        rows = self.rows(item_ids)
        rows = rows[rows >= 0]
        self.offered[rows] = False
        for row in rows.tolist():
            self.entries[row] = None
        self.version += 1

    # --- transitions ---

    def _count_transitions(
        self, item_hash: int, now_ms: int, half_life_s: float
    ) -> tuple[Rows, NDArray[np.float32]]:
        sample = unpack_covisits(self._covisits.get(item_hash))
        hashes, weights = transition_scores(
            sample["next"], sample["ts_s"], sample["draw"], sample["distance"],
            now_ms / 1000, half_life_s, COVISIT_CAPACITY,
        )  # fmt: skip
        shares = (weights / max(weights.sum(), 1e-300)).astype(np.float32)
        return self.rows_of_hashes(hashes[:TRANSITIONS_KEPT]), shares[:TRANSITIONS_KEPT]

    # --- rows ---

    def _rows_for(self, item_ids: Sequence[str]) -> Rows:
        new = [item_id for item_id in item_ids if item_id not in self._row_by_id]
        if new:
            self._add(list(dict.fromkeys(new)))
        return self.rows(item_ids)

    def _add(self, item_ids: list[str]) -> None:
        start, end = self.size, self.size + len(item_ids)
        if end > len(self.offered):
            self._grow(max(end, 2 * len(self.offered)))
        hashes = item_hashes(item_ids)
        self._hashes[start:end] = hashes
        for row, (item_id, value) in enumerate(zip(item_ids, hashes.tolist(), strict=True), start):
            self._row_by_id[item_id] = row
            # Two ids may share a hash; packed records cannot tell them apart: the first keeps it.
            self._row_by_hash.setdefault(value, row)
        self.ids.extend(item_ids)
        self.entries.extend([None] * len(item_ids))
        self.size = end

    def _grow(self, capacity: int) -> None:
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray):
                setattr(self, name, grown(array, capacity))

    def _list_in_category(self, row: int, category: str) -> int:
        self._rows_by_category.setdefault(category, set()).add(row)
        return self.category_codes.setdefault(category, len(self.category_codes))


def _keep(lists: dict[int, Kept], item_hash: int, found: Kept) -> None:
    """Keep what was found of an item, whose rows are all known: others may become so any time."""
    if len(lists) >= TRANSITION_LISTS_KEPT:
        lists.clear()
    lists[item_hash] = found


def grown(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    """Return a copy with room for `capacity` rows; new rows are zero, -1 where they hold codes."""
    fill = -1 if array.dtype == np.int32 else 0
    larger = np.full((capacity, *array.shape[1:]), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def decay(
    then_ms: NDArray[np.int64], now_ms: int, half_life_ms: NDArray[np.float32] | float
) -> NDArray[np.float32]:
    """Return the weight in (0, 1] that exponential decay leaves of something so old.

    >>> decay(np.array([0, 1000, 2000]), 1000, 1000.0).tolist()
    [0.5, 1.0, 1.0]
    """
    age_ms = np.maximum(now_ms - then_ms, 0).astype(np.float32)
    return np.asarray(np.exp2(-age_ms / np.float32(half_life_ms)))
