"""Running the stages of the funnel: a budget, a failure policy and a record for each.

Law: a stage that fails or has no time left is noted and named, and the request goes on with what
there is. Nothing here counts metrics: the record says what happened, and whoever answers a person
counts it (`serving.funnel_metrics`), so that an evaluation moves no counter.

A stage is synchronous and short, so its budget is checked when it starts: one that may be left out
is left out when the stages before it have used up its time too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)

BUDGETS: Final = {
    "encoder": 0.15,
    "session": 0.10,
    "covisitation": 0.05,
    "transitions": 0.02,
    "neighbours": 0.05,
    "past": 0.02,
    "similar": 0.03,
    "category": 0.03,
    "trending": 0.02,
    "new": 0.02,
    "filter": 0.06,
    "aversion": 0.03,
    "features": 0.12,
    "rank": 0.15,
    "rerank": 0.10,
    "explore": 0.05,
}
"""Share of the deadline that each stage may use, in the order of the funnel. Reading the user comes
before, with a timeout of its own; the answer itself is never left out."""


class Stages:
    """The clock and the record of one request: the only thing that the funnel changes.

    Args:
        deadline_ms: when the answer is due, from now.
        now: the monotonic clock, s.

    Attributes:
        degraded: words for what was missing, in the order of the funnel.
        durations: (stage, s) of every stage that was run.
        failures: (stage, `error` or `deadline`) of every stage that failed or was left out.
        candidates: how many items each source found; empty before they were asked.
    """

    def __init__(self, deadline_ms: float, now: Callable[[], float] = perf_counter) -> None:
        self._now = now
        self._deadline_s = deadline_ms / 1000
        self._started_s = self._budget_from_s = now()
        self.degraded: list[str] = []
        self.durations: list[tuple[str, float]] = []
        self.failures: list[tuple[str, str]] = []
        self.candidates: dict[str, int] = {}

    @property
    def took_ms(self) -> float:
        """Milliseconds since the request began."""
        return (self._now() - self._started_s) * 1000

    def restart_budget(self) -> None:
        """Count the budgets from now on; `took_ms` still counts from the start."""
        self._budget_from_s = self._now()

    def left_out(self, word: str) -> None:
        """Note that something was missing."""
        if word not in self.degraded:
            self.degraded.append(word)

    def run(self, name: str, stage: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Return what the stage makes, or `otherwise` when it fails or has no time left."""
        started_s = self._now()
        if started_s - self._budget_from_s > self._deadline_s * ENDS[name]:
            return self._failed(name, "deadline", otherwise)
        try:
            return stage()
        except Exception:
            log.exception("stage %s failed", name)
            return self._failed(name, "error", otherwise)
        finally:
            self.durations.append((name, self._now() - started_s))

    async def wait(
        self, name: str, stage: Callable[[], Awaitable[T]], otherwise: Callable[[], T], word: str
    ) -> T:
        """Return what an awaited stage makes, or `otherwise` when it fails; `word` names it."""
        started_s = self._now()
        try:
            return await stage()
        except Exception as error:
            log.warning("stage %s failed: %s", name, error)
            self.failures.append((name, "error"))
            self.left_out(word)
            return otherwise()
        finally:
            self.durations.append((name, self._now() - started_s))

    def _failed(self, name: str, reason: str, otherwise: Callable[[], T]) -> T:
        self.failures.append((name, reason))
        self.left_out(name)
        return otherwise()


def _cumulative(budgets: dict[str, float]) -> dict[str, float]:
    ends, total = {}, 0.0
    for name, share in budgets.items():
        total += share
        ends[name] = total
    return ends


ENDS: Final = _cumulative(BUDGETS)
"""Share of the deadline by which each stage should have ended."""
