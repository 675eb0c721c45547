"""What a user rejected, and what is like it: by category, and by vector where there is one.

Law: a function of the user's own rejections, net of what the user accepted; others have no part in
it. What is rejected itself is not shown at all (`serving.filters`): here is what resembles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import PREFERENCE
from online_models.maths.aversion import kinship, net_aversion
from serving.item_table import ItemTable, Rows
from serving.live_bundle import BoundBundle

HALF_LIFE_S: Final = 30 * 86_400.0
"""Evidence so old weighs half: tastes change."""

VECTORS_COMPARED: Final = 100  # rejected items, the newest

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Items that somebody rejected, or accepted.

    Attributes:
        rows: (n,) rows of the table, newest first.
        weights: (n,) float32 above 0, decayed with age.
    """

    rows: Rows
    weights: Floats

    @classmethod
    def of(cls, rows: Rows, types: NDArray[np.int64], ages_s: Floats) -> Evidence:
        """Return the evidence of events, weighed as the schema weighs their types.

        Args:
            rows: (n,) rows, -1 where an item has none; such an item is no evidence.
            types: (n,) type codes.
            ages_s: (n,) seconds since each.
        """
        weights = np.abs(PREFERENCE[types]) * np.exp2(-ages_s / np.float32(HALF_LIFE_S))
        has_row = rows >= 0
        return cls(rows[has_row], weights[has_row].astype(np.float32))

    def by_category(self, table: ItemTable) -> Floats:
        """Return the evidence of each category, (n_categories + 1,); the last entry is 0.

        An item speaks of each of its n categories with 1 / sqrt(n) of its weight.
        """
        sums = np.zeros(len(table.category_codes) + 1, np.float32)
        codes = table.codes(self.rows)  # (n, category_width)
        carried = np.maximum((codes >= 0).sum(axis=1), 1)
        np.add.at(sums, codes, (self.weights / np.sqrt(carried))[:, None])
        sums[-1] = 0
        return sums

    def near(self, vectors: Floats, bound: BoundBundle) -> Floats:
        """Return the evidence near to each of n items, (n,).

        Args:
            vectors: (n, d) float32, unit or zero.
            bound: the bundle that they are of.
        """
        if not len(self.rows):
            return np.zeros(len(vectors), np.float32)
        return np.asarray(kinship(vectors @ bound.vectors[self.rows].T) @ self.weights)


@dataclass(frozen=True, slots=True)
class Aversion:
    """What a user is averse to.

    Attributes:
        rejected: what they rejected or skipped.
        accepted: what they acted on otherwise.
        categories: (n_categories + 1,) float32 net evidence against each category; the last entry,
            which code -1 names, is 0.
        outweighed: (n_categories + 1,) bool, whether what was rejected of a category weighs as much
            as what was accepted: no reason names it.
    """

    rejected: Evidence
    accepted: Evidence
    categories: Floats
    outweighed: NDArray[np.bool_]

    @classmethod
    def of(cls, table: ItemTable, rejected: Evidence, accepted: Evidence) -> Aversion:
        """Return the aversion that evidence makes."""
        if not len(rejected.rows):
            nothing = np.zeros(len(table.category_codes) + 1, np.float32)
            return cls(rejected, accepted, nothing, nothing > 0)
        against, liked = rejected.by_category(table), accepted.by_category(table)
        outweighed = (against > 0) & (against >= liked)
        return cls(rejected, accepted, net_aversion(against, liked), outweighed)

    def to_categories(self, table: ItemTable, rows: Rows) -> Floats:
        """Return the evidence against (n,) items by their categories."""
        if not len(self.rejected.rows):
            return np.zeros(len(rows), np.float32)
        codes = table.codes(rows)  # (n, category_width)
        carried = np.sqrt(np.maximum((codes >= 0).sum(axis=1), 1))
        return np.asarray(self.categories[codes].sum(axis=1) / carried, np.float32)

    def to_vectors(self, bound: BoundBundle | None, rows: Rows) -> Floats:
        """Return the evidence against (n,) items by their vectors; 0 without any."""
        newest = Evidence(
            self.rejected.rows[:VECTORS_COMPARED], self.rejected.weights[:VECTORS_COMPARED]
        )
        if bound is None or not len(newest.rows):
            return np.zeros(len(rows), np.float32)
        vectors = bound.vectors[rows]
        return net_aversion(newest.near(vectors, bound), self.accepted.near(vectors, bound))
