"""The items that a worker has met in events: names and hashes, by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.partition import item_hashes

MOST_NAMES = 1_000_000  # then it starts anew: names are free, and anyone may send them


class ItemNames:
    """Numbers for item ids, so that a name is hashed once and not at every event.

    Attributes:
        names: (n,) by number.
        places: (n or more,) int64, -1 each: room for whoever has to count or place items; it is
            -1 again when that is done.
    """

    def __init__(self) -> None:
        self._forget()

    def numbers(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each item, (n,) int64; good until the next call."""
        if len(self.names) > MOST_NAMES:
            self._forget()
        get = self._numbers.get
        found = [get(item_id, -1) for item_id in item_ids]
        if -1 in found:
            self._add(list({name for name, at in zip(item_ids, found, strict=True) if at < 0}))
            found = [self._numbers[item_id] for item_id in item_ids]
        return np.array(found, np.int64)

    def hashes(self, numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the hashes of numbered items, (n,) uint32."""
        return np.asarray(self._hashes[numbers])

    def _forget(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._hashes = np.zeros(256, np.uint32)
        self.places = np.full(256, -1, np.int64)

    def _add(self, item_ids: list[str]) -> None:
        start, end = len(self.names), len(self.names) + len(item_ids)
        if end > len(self._hashes):
            grown = np.zeros(max(end, 2 * len(self._hashes)), np.uint32)
            grown[:start] = self._hashes[:start]
            self._hashes = grown
            self.places = np.full(len(grown), -1, np.int64)
        self._hashes[start:end] = item_hashes(item_ids)
        self._numbers.update(zip(item_ids, range(start, end), strict=True))
        self.names.extend(item_ids)
