"""Items by the order of their hashes: the tie rule of the baselines, made once.

Law: within this package an item's row is its place when the items are ordered by `log.hashes`,
smaller first (equal hashes by item id). `top_k` lets the first of equals win, so equal scores are
in this order everywhere, and no list can depend on the order of the catalogue, which is often the
order in which the items appear: it would tell the future.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from online_models.maths.topk import top_k
from online_models.training.log import TrainingLog
from replay.evaluate.request import Request, Rows


class Numbering:
    """The rows of a log's items, renumbered.

    Attributes:
        log: the same log with its items in the order of their hashes.
        original: (n_items,) row in the log as it was of each renumbered one.
    """

    def __init__(self, log: TrainingLog) -> None:
        ids = np.array([item.item_id for item in log.items])
        self.original: Rows = np.lexsort((ids, log.hashes)).astype(np.int64)
        self._place = np.empty(len(ids), np.int64)
        self._place[self.original] = np.arange(len(ids))
        self._last: tuple[Request, Request] | None = None
        self.log = replace(
            log,
            items=[log.items[row] for row in self.original],
            hashes=log.hashes[self.original],
            created_ts_ms=log.created_ts_ms[self.original],
            item=self._place[log.item],
        )

    def request(self, request: Request) -> Request:
        """Return the same request in renumbered rows; the same one as long as it is the last."""
        if self._last is not None and self._last[0] is request:
            return self._last[1]
        renumbered = replace(
            request,
            items=self._place[request.items],
            offered=request.offered[self.original],
            seen=self._place[request.seen],
        )
        self._last = request, renumbered
        return renumbered


def best(scores: NDArray[np.float64], allowed: NDArray[np.bool_], k: int) -> Rows:
    """Return the rows with the k biggest scores among those allowed, best first.

    Args:
        scores: (n_items,) finite where allowed.
        allowed: (n_items,) bool.
        k: how many; fewer are returned when fewer are allowed.

    >>> best(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, True, False]), 2).tolist()
    [1, 2]
    """
    rows = np.flatnonzero(allowed)
    return rows[top_k(scores[rows], k)]
