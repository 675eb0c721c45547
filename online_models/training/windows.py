"""Histories cut into windows, newest first, each with what came next: what the encoder learns from.

Law: an input at position i knows the events before its target and the time of the request, and
nothing later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import ENCODED
from freshet.core.state.records import HISTORY_LENGTH
from online_models.training.log import TARGET, TrainingLog

_STRIDE = HISTORY_LENGTH // 2
_HALVINGS = 4  # of an event's weight over the span of the log: tastes and catalogues drift


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """b windows of the same padded length.

    Attributes:
        items: (b, length) rows of items, newest first, 0 behind the end.
        types: (b, length) codes of their events.
        gaps_s: (b, length) float32 from each event to the next newer one; that of the newest is
            the time to the request.
        mask: (b, length) bool, where there is an event.
        targets: (b, length) row of the item that came next, -1 where none is to be learned.
        weights: (b, length) float32, how much each target counts; 1 at the end of the log.
    """

    items: NDArray[np.int64]
    types: NDArray[np.int64]
    gaps_s: NDArray[np.float32]
    mask: NDArray[np.bool_]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]


class Windows:
    """The windows of all users over the events before some event, of the types that are read."""

    def __init__(self, log: TrainingLog, end: int) -> None:
        read = np.flatnonzero(ENCODED[log.kind[:end]])
        by_user = read[np.argsort(log.user[read], kind="stable")]
        self._item, self._kind = log.item[by_user], log.kind[by_user]
        self._ts_ms, user = log.ts_ms[by_user], log.user[by_user]
        span_ms = max(log.ts_ms[end - 1] - log.ts_ms[0], 1)
        age = (log.ts_ms[end - 1] - self._ts_ms) / span_ms  # (n,) in spans of the log
        self._weight = np.exp2(-age * _HALVINGS).astype(np.float32)
        self._is_target = TARGET[self._kind] & ~_repeated(user, self._item)
        starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]]) if len(user) else user
        lengths = np.diff(np.r_[starts, len(user)])
        self._windows = np.array(
            [
                window
                for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
                for window in _cut(start, length)
            ],
            np.int64,
        ).reshape(-1, 3)  # first event, number of inputs, of which to learn from

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._windows)

    @property
    def target_counts(self) -> NDArray[np.int64]:
        """How often each item is a target, (highest row + 1,)."""
        return np.bincount(self._item[self._is_target])

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[WindowBatch]:
        """Yield all windows once in random order, those of about the same length together."""
        # A little noise on the lengths, so that an epoch meets other neighbours than the last.
        length = self._windows[:, 1] + rng.uniform(0, 4, len(self._windows))
        order = np.argsort(length, kind="stable")
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        for chunk in rng.permutation(len(chunks)):
            batch = self._batch(self._windows[chunks[chunk]])
            if (batch.targets >= 0).any():
                yield batch

    def _batch(self, windows: NDArray[np.int64]) -> WindowBatch:
        first, inputs, learned = windows.T[:, :, None]  # (b, 1) each
        position = np.arange(inputs.max())  # (length,)
        mask = position < inputs
        at = np.where(mask, first + inputs - 1 - position, 0)  # newest first
        following = np.where(mask, at + 1, 0)
        gaps_s = np.where(mask, self._ts_ms[following] - self._ts_ms[at], 0) / 1000
        wanted = mask & (position < learned) & self._is_target[following]
        return WindowBatch(
            items=np.where(mask, self._item[at], 0),
            types=np.where(mask, self._kind[at], 0),
            gaps_s=gaps_s.astype(np.float32),
            mask=mask,
            targets=np.where(wanted, self._item[following], -1),
            weights=self._weight[following],
        )


def _cut(start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Yield windows over one user's events; each target is learned in exactly one of them."""
    inputs = min(length - 1, HISTORY_LENGTH)
    if inputs < 1:
        return
    yield start, inputs, inputs
    end = inputs  # inputs of this user that were learned from
    while end < length - 1:
        step = min(_STRIDE, length - 1 - end)
        end += step
        yield start + end - HISTORY_LENGTH, HISTORY_LENGTH, step


def _repeated(user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the user had acted on the item before; rows are sorted by user, then time."""
    order = np.lexsort((np.arange(len(item)), item, user))
    same = (user[order][1:] == user[order][:-1]) & (item[order][1:] == item[order][:-1])
    repeated = np.zeros(len(item), np.bool_)
    repeated[order[1:][same]] = True
    return repeated
