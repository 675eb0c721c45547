"""What a source found, and how the finds of all sources become one list of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.features import RANK_SOFTENING, SOURCE_WEIGHTS, SOURCES, fused_ranks
from online_models.maths.topk import top_k
from serving.item_table import Rows

_POPULAR: Final = SOURCES.index("popular")


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that a source found, best first.

    Attributes:
        rows: (n,) distinct rows.
        scores: (n,) float32, descending.
        because: (n,) rows of the items that led to them, -1 = none.
    """

    rows: Rows
    scores: NDArray[np.float32]
    because: Rows

    def first(self, quota: int) -> Found:
        """Return the best of them."""
        return Found(self.rows[:quota], self.scores[:quota], self.because[:quota])

    @classmethod
    def of(cls, rows: Rows, scores: NDArray[np.float32], because: Rows | None = None) -> Found:
        """Return a find, with -1 for the reason where none is given."""
        return cls(rows, scores, np.full(len(rows), -1) if because is None else because)

    @classmethod
    def nothing(cls) -> Found:
        """Return an empty find."""
        return cls.of(np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class Union:
    """The candidates of a request, best first by fused rank.

    Attributes:
        rows: (n,) distinct rows.
        fused: (n,) float64 fused score, descending.
        scores: (n, n_sources) float32, 0 where the source did not find the row.
        ranks: (n, n_sources) int64, 0 = best, -1 = not found by the source.
        because: (n, n_sources) rows that led the source to the candidate, -1 = none.
    """

    rows: Rows
    fused: NDArray[np.float64]
    scores: NDArray[np.float32]
    ranks: NDArray[np.int64]
    because: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Union:
        """Return some of the candidates, in the given order."""
        return Union(
            self.rows[which],
            self.fused[which],
            self.scores[which],
            self.ranks[which],
            self.because[which],
        )

    def best_source(self) -> NDArray[np.int64]:
        """Return (n,) the source that contributed most to the fused score of each.

        The source of what none found is `popular`, by which it is ordered.
        """
        shares = SOURCE_WEIGHTS / (RANK_SOFTENING + np.maximum(self.ranks, 0))
        most = np.where(self.ranks >= 0, shares, 0).argmax(axis=1)
        return np.asarray(np.where(self.is_found, most, _POPULAR))

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """(n,) whether a source found each; a client's own candidates need none."""
        return np.asarray((self.ranks >= 0).any(axis=1))


def fuse(found: Sequence[Found], also: Rows | None = None) -> Union:
    """Return the union of finds, ordered by weighted reciprocal rank fusion.

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods" (2009).

    Args:
        found: one find for each of `SOURCES`, in their order.
        also: rows that are candidates whether a source found them or not.
    """
    lists = [one.rows for one in found]
    if also is not None:
        lists.append(also)
    rows, place = np.unique(np.concatenate(lists), return_inverse=True)
    shape = (len(rows), len(SOURCES))
    scores = np.zeros(shape, np.float32)
    ranks = np.full(shape, -1, np.int64)
    because = np.full(shape, -1, np.int64)
    start = 0
    for column, one in enumerate(found):
        at = place[start : start + len(one.rows)]
        scores[at, column] = one.scores
        ranks[at, column] = np.arange(len(one.rows))
        because[at, column] = one.because
        start += len(one.rows)
    fused = fused_ranks(ranks)
    return Union(rows, fused, scores, ranks, because).take(top_k(fused, len(rows)))
