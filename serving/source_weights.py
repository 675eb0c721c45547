"""Learning what the sources are worth, from what people visit after they have asked.

Of some requests is kept what every option of the blend would have listed. When the person's record
shows a visit to an item that was new to them, it is known at which place each option had it: the
lists are older than the visit, so none of them can know of it. The server and an evaluation in its
process run this same code, the one by the clock, the other by the time of its log.

Law: bounded in memory and in requests a second; a person who is erased is forgotten at once. What
was learned names no one, and is of this process: it starts from the weights set by judgement, and
`PRIOR_VISITS` visits later it may depart from them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.clock import Clock
from freshet.core.events.schema import PREFERENCE, VISIT
from freshet.core.metrics import FALLBACK_BLEND, FALLBACK_VISITS, SOURCE_HIT_RATE
from freshet.core.state.records import HISTORY_LENGTH, Records, history_newest_first, interactions
from online_models.maths.source_blend import Evidence, blend_weights, choose, first_places
from serving.answer import Query
from serving.fallback_blend import (
    FAMILIES,
    FIXED,
    FIXED_WEIGHTS,
    LISTS,
    OPTIONS,
    PERSONAL,
    POWERS,
    Blend,
    list_parts,
)
from serving.sources.found import Union

if TYPE_CHECKING:
    from serving.moment import Moment

MAX_PENDING: Final = 2_000
"""Requests that wait for a visit: some 4 kB each."""

MAX_PER_S: Final = 5
"""Requests a second whose lists are kept: some 2 ms each."""

BURST: Final = 20
"""Requests at once, after a time without."""

VISIT_WITHIN_S: Final = 3_600
"""A visit so long after the request says nothing of its lists."""

PUBLISH_S: Final = 5.0

_SOUGHT: Final = VISIT & (PREFERENCE > 0)  # what an evaluation takes for a hit, too


@dataclass(frozen=True, slots=True)
class _Pending:
    """A request that waits for its person's next visit.

    Attributes:
        interactions: of the person, when they asked.
        asked_s: event time of the request, s.
        hashes: (PLACES, C) uint32 hashes of the items that options and lists begin with.
        listed: (PLACES, C) bool, whether there is an item at all.
    """

    interactions: int
    asked_s: float
    hashes: NDArray[np.uint32]
    listed: NDArray[np.bool_]


class SourceWeights:
    """The blend in use, and the evidence for it.

    Args:
        clock: of the bound on requests a second, ms.

    Attributes:
        blend: what the lists weigh now; replaced as a whole.
        evidence: of `OPTIONS` and, behind them, of `LISTS`.
        weights: (O, A) of the options.
        visits: visits that were learned from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._allowance = float(BURST)
        self._counted_ms = clock()
        self._option = 0
        self.evidence = Evidence.none(len(OPTIONS) + len(LISTS))
        self.weights = blend_weights(self.evidence, FIXED_WEIGHTS, FAMILIES, PERSONAL, POWERS)
        self.blend = FIXED
        self.visits = 0

    # --- learning ---

    def note(self, moment: Moment, union: Union, query: Query) -> None:
        """Take note of a request: what each option would have listed.

        Args:
            moment: the request; one where something failed says nothing of the sources.
            union: its candidates.
            query: one that leaves out items or categories says nothing of them either.
        """
        if moment.stages.failures or query.categories or query.exclude:
            return
        self.settle([moment.user_id], np.array([moment.user.record]))
        if not self._allowed():
            return
        parts = list_parts(moment.table, union, moment.profile.now_ms)  # (n, A)
        lists = np.where(parts > 0, parts, -np.inf)
        listed = first_places(np.concatenate([parts @ self.weights.T, lists], axis=1))
        self._pending[moment.user_id] = _Pending(
            int(interactions(moment.user.record)),
            moment.profile.now_ms / 1000,
            moment.table.hashes(union.rows)[listed],
            listed >= 0,
        )
        self._pending.move_to_end(moment.user_id)
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def settle(self, user_ids: Sequence[str], records: Records) -> None:
        """Learn from what people have visited since they asked.

        Args:
            user_ids: (n,) distinct ids, of anyone.
            records: (n,) of `USER_DTYPE`, as they are now.
        """
        for user_id, record in zip(user_ids, records, strict=True):
            pending = self._pending.get(user_id)
            if pending is not None:
                self._settle_one(user_id, pending, record)

    def forget(self, user_ids: Iterable[str]) -> None:
        """Forget people who were erased."""
        for user_id in user_ids:
            self._pending.pop(user_id, None)

    def forget_all(self) -> None:
        """Forget everyone: someone may have been erased."""
        self._pending.clear()

    def _settle_one(self, user_id: str, pending: _Pending, record: np.void) -> None:
        new = int(interactions(record)) - pending.interactions
        if new <= 0:  # nothing since, or a record that was read before the request
            return
        if new >= HISTORY_LENGTH:  # more than a record holds
            del self._pending[user_id]
            return
        history = history_newest_first(record)
        since, before = history[:new][::-1], history[new:]
        sought = _SOUGHT[since["type"]] & ~np.isin(since["item"], before["item"])
        if not sought.any():
            return  # the next visit may still be one
        del self._pending[user_id]
        visit = since[sought.argmax()]
        ts_s = float(visit["ts_s"])
        if ts_s - pending.asked_s > VISIT_WITHIN_S:
            return
        hit = (pending.hashes == visit["item"]) & pending.listed  # (PLACES, C)
        self._learn(np.where(hit.any(axis=0), hit.argmax(axis=0), -1), ts_s)

    def _learn(self, places: NDArray[np.int64], ts_s: float) -> None:
        self.visits += 1
        self.evidence = self.evidence.learned(places, ts_s)
        self.weights = blend_weights(self.evidence, FIXED_WEIGHTS, FAMILIES, PERSONAL, POWERS)
        self._option = choose(self.evidence, self._option, len(OPTIONS))
        own = Blend(OPTIONS[self._option], self.weights[self._option])
        self.blend = own if self._option else FIXED

    def _allowed(self) -> bool:
        """Return whether there is time for one more request, and take it."""
        now_ms = self._clock()
        passed_s = max(now_ms - self._counted_ms, 0) / 1000
        self._allowance = min(self._allowance + passed_s * MAX_PER_S, float(BURST))
        self._counted_ms = now_ms
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    # --- saying so ---

    async def run(self) -> None:
        """Publish what was learned, for ever."""
        published = 0
        while True:
            rates = zip([*OPTIONS, *LISTS], self.evidence.hit_rates, strict=True)
            for name, rate in dict(rates).items():  # of a list by itself, not filled up
                SOURCE_HIT_RATE.labels(name).set(rate)
            for name in OPTIONS:
                FALLBACK_BLEND.labels(name).set(name == self.blend.name)
            FALLBACK_VISITS.inc(self.visits - published)
            published = self.visits
            await asyncio.sleep(PUBLISH_S)
