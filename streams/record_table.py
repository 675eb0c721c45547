"""Records of one kind that a worker has met, in one array, found by name.

What Redis holds of them, record for record: this worker is the only writer of their partitions. The
folds change them where they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.state.records import Records
from streams.packed import Packed

UNKNOWN = -1
_FIRST_CAPACITY = 256


class RecordTable:
    """Records by name; rows are never moved, so a row stays valid until the table is dropped.

    Attributes:
        names: (n,) of the rows.
        records: (n or more,) of the table's dtype; another array when the table has grown.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.names: list[str] = []
        self.records: Records = np.zeros(_FIRST_CAPACITY, dtype)
        self._rows: dict[str, int] = {}

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
        if end > len(self.records):
            grown = np.zeros(max(end, 2 * len(self.records)), self.records.dtype)
            _as_bytes(grown)[:start] = _as_bytes(self.records)[:start]
            self.records = grown
        _as_bytes(self.records)[start:end] = _as_bytes(records)
        self._rows.update(zip(names, range(start, end), strict=True))
        self.names.extend(names)

    def forget(self, names: Iterable[str]) -> None:
        """Forget names; their rows stay unused until the table is dropped."""
        for name in names:
            self._rows.pop(name, None)

    def names_of(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the names of `rows`, (n,)."""
        names = self.names
        return [names[row] for row in rows.tolist()]

    def packed(self, rows: NDArray[np.int64]) -> Packed:
        """Return the records at `rows` as they are in memory."""
        chosen = _as_bytes(self.records)[rows].tobytes()
        return Packed(chosen, [self.records.itemsize] * len(rows))


def _as_bytes(records: Records) -> Records:
    """Return records as structures without fields: numpy copies field by field otherwise."""
    return records.view(np.dtype((np.void, records.itemsize)))
