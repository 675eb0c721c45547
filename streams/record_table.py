"""Records of one partition that a worker has met, in one array, found by name.

What Redis holds of them, record for record: this worker is the only writer of the partition. A fold
takes its records out with one index and puts them back with another, instead of unpacking and
packing each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import Records

UNKNOWN = -1
_FIRST_CAPACITY = 256


class RecordTable:
    """Records by name; rows are never moved, so a row stays valid until the table is dropped.

    Args:
        dtype: of the records.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.names: list[str] = []
        self._rows: dict[str, int] = {}
        self._dtype = dtype
        self._records = np.zeros(_FIRST_CAPACITY, _bytes_of(dtype))

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each name, (n,) int64, `UNKNOWN` where the table has none."""
        get = self._rows.get
        return np.array([get(name, UNKNOWN) for name in names], np.int64)

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Return the distinct names that the table has no row for."""
        return [name for name in dict.fromkeys(names) if name not in self._rows]

    def add(self, names: Sequence[str], records: Records) -> None:
        """Add records under names that the table does not have.

        Args:
            names: (n,) distinct.
            records: (n,) of the table's dtype.
        """
        start, end = len(self.names), len(self.names) + len(names)
        if end > len(self._records):
            grown = np.zeros(max(end, 2 * len(self._records)), self._records.dtype)
            grown[:start] = self._records[:start]
            self._records = grown
        self._records[start:end] = records.view(self._records.dtype)
        self._rows.update(zip(names, range(start, end), strict=True))
        self.names.extend(names)

    def forget(self, names: Iterable[str]) -> None:
        """Forget names; their rows stay unused until the table is dropped."""
        for name in names:
            self._rows.pop(name, None)

    def take(self, rows: NDArray[np.int64]) -> Records:
        """Return copies of the records at `rows`, (n,)."""
        return self._records[rows].view(self._dtype)

    def put(self, rows: NDArray[np.int64], records: Records) -> None:
        """Replace the records at distinct `rows`."""
        self._records[rows] = records.view(self._records.dtype)

    def names_of(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the names of `rows`, (n,)."""
        names = self.names
        return [names[row] for row in rows.tolist()]


def joined(parts: Sequence[Records]) -> Records:
    """Return the records of some arrays in one; there is at least one, all of one dtype."""
    whole = _bytes_of(parts[0].dtype)
    return np.concatenate([part.view(whole) for part in parts]).view(parts[0].dtype)


def _bytes_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype of the same size without fields: numpy copies field by field otherwise."""
    return np.dtype((np.void, dtype.itemsize))
