"""The log lived again: the state of the streams, event by event, and requests in the middle of it.

Law: a request at an event sees what had happened before it, and nothing else. State and sources
are those of serving: the same maths, the same formulas, the same quotas.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.events.schema import CLICK, IMPRESSION, INTERACTION, TREND_WEIGHT, VISIT
from freshet.core.settings import Settings
from freshet.core.state.records import COVISIT_CAPACITY, TREND_BUCKETS, TREND_HALF_LIVES_S
from online_models.maths.covisitation import keep_largest, priorities, transition_scores
from online_models.maths.topk import top_k
from online_models.maths.trending import add_events, trend_rates
from online_models.sources import popular_scores, trending_scores
from online_models.training.log import TrainingLog

_TRANSITIONS_KEPT = 100
_REFRESH_EVENTS = 500  # after so many events the orders that hold for everyone are computed again
_POOL = 2_000

Transition = tuple[int, int, int, int]
"""Next item, time in s, random bits, distance."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Rows of items that lead for everyone, best first, with their scores."""

    popular: tuple[NDArray[np.int64], NDArray[np.float32]]
    trending: tuple[NDArray[np.int64], NDArray[np.float32]]


class Past:
    """The state of all items at one moment of a log.

    Attributes:
        now: number of events that have happened.
        interactions, impressions, clicks: (n_items,) counts.
        first_ts_ms: (n_items,) first event time, 0 = no event.
    """

    def __init__(self, log: TrainingLog, settings: Settings) -> None:
        n_items = len(log.items)
        self._log = log
        self._half_life_s = settings.covisit_half_life_s
        self._distance = settings.covisit_distance
        self.now = 0
        self.interactions = np.zeros(n_items, np.uint32)
        self.impressions = np.zeros(n_items, np.uint32)
        self.clicks = np.zeros(n_items, np.uint32)
        self.first_ts_ms = np.zeros(n_items, np.int64)
        self._last_ts_ms = np.zeros(n_items, np.int64)
        self._trend = np.zeros((n_items, len(TREND_HALF_LIVES_S), TREND_BUCKETS), np.uint32)
        self._visits: dict[int, deque[tuple[int, int]]] = defaultdict(
            lambda: deque(maxlen=self._distance)
        )
        self._transitions: dict[int, list[Transition]] = defaultdict(list)
        self._shares: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        self._orders: Orders | None = None
        self._orders_at = 0

    @property
    def now_ms(self) -> int:
        """The newest event time."""
        return int(self._log.ts_ms[max(self.now - 1, 0)])

    # --- living ---

    def advance(self, end: int) -> None:
        """Let everything happen up to, and without, an event."""
        if end <= self.now:
            return
        part = slice(self.now, end)
        self._count(part)
        self._connect(part)
        self.now = end

    def _count(self, part: slice) -> None:
        log = self._log
        item, kind, ts_ms = log.item[part], log.kind[part], log.ts_ms[part]
        np.add.at(self.interactions, item[INTERACTION[kind]], 1)
        np.add.at(self.impressions, item[kind == IMPRESSION], 1)
        np.add.at(self.clicks, item[kind == CLICK], 1)
        touched, place = np.unique(item, return_inverse=True)
        first = np.full(len(touched), np.iinfo(np.int64).max)
        np.minimum.at(first, place, ts_ms)
        known = self.first_ts_ms[touched]
        self.first_ts_ms[touched] = np.where(known > 0, known, first)
        self._trend[touched], self._last_ts_ms[touched] = add_events(
            self._trend[touched],
            self._last_ts_ms[touched],
            place,
            ts_ms,
            TREND_WEIGHT[kind],
            TREND_HALF_LIVES_S,
        )

    def _connect(self, part: slice) -> None:
        """Tie each visit to those of the same user before it."""
        log = self._log
        events = np.flatnonzero(VISIT[log.kind[part]]) + part.start
        columns = (log.user, log.item, log.kind, log.ts_ms // 1000, log.draw)
        for user, item, kind, ts_s, draw in zip(
            *(c[events].tolist() for c in columns), strict=True
        ):
            visits = self._visits[user]
            for distance, (previous, previous_kind) in enumerate(reversed(visits), 1):
                # The same item again is a return, unless another type says the visit goes on.
                if previous != item or previous_kind == kind:
                    self._transitions[previous].append((item, ts_s, draw, distance))
                    self._shares.pop(previous, None)
            visits.append((item, kind))

    # --- reading ---

    def rates(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the (n, n_half_lives) trending rates of items now, events/s."""
        return trend_rates(
            self._trend[rows], self._last_ts_ms[rows], self.now_ms, TREND_HALF_LIVES_S
        )

    def transitions(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows that visitors of an item went to next, and the share that did."""
        if row not in self._shares:
            self._shares[row] = self._count_transitions(row)
        return self._shares[row]

    def orders(self) -> Orders:
        """Return who leads for everyone, as of a few events ago."""
        orders = self._orders
        if orders is None or self.now - self._orders_at >= _REFRESH_EVENTS:
            orders = self._orders = self._compute_orders()
            self._orders_at = self.now
        return orders

    def ages_s(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return how long ago items were created, or first acted on, s."""
        created = self._log.created_ts_ms[rows]
        known = np.where(created > 0, created, self.first_ts_ms[rows])
        since = np.where(known > 0, known, self.now_ms)
        return np.asarray(np.maximum(self.now_ms - since, 0) / 1000, np.float32)

    def _compute_orders(self) -> Orders:
        seen = np.flatnonzero(self.first_ts_ms)
        rates = self.rates(seen)
        popular = popular_scores(rates, self.interactions[seen])
        trending = trending_scores(rates)
        rising = np.flatnonzero(trending > 0)
        best = top_k(popular, _POOL)
        most = rising[top_k(trending[rising], _POOL)]
        return Orders((seen[best], popular[best]), (seen[most], trending[most]))

    def _count_transitions(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        rows = self._transitions[row]
        if not rows:
            return np.empty(0, np.int64), np.empty(0)
        following, ts_s, draw, distance = np.array(rows, np.int64).T
        times, bits = ts_s.astype(np.uint32), draw.astype(np.uint32)
        steps = distance.astype(np.uint8)
        if len(rows) > COVISIT_CAPACITY:
            key = priorities(times, bits, steps, self._half_life_s)
            group = np.zeros(len(rows), np.int64)
            kept = keep_largest(group, key, np.arange(len(rows)), COVISIT_CAPACITY)
            following, times, bits, steps = following[kept], times[kept], bits[kept], steps[kept]
            self._transitions[row] = [rows[index] for index in kept.tolist()]
        items, scores = transition_scores(
            following.astype(np.uint32),
            times,
            bits,
            steps,
            self.now_ms / 1000,
            self._half_life_s,
            COVISIT_CAPACITY,
        )
        shares = scores / max(scores.sum(), 1e-300)
        return items[:_TRANSITIONS_KEPT].astype(np.int64), shares[:_TRANSITIONS_KEPT]
