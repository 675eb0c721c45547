"""A chaos run: traffic, strikes on time, and audits, of which the last is at the end.

A Redis that is emptied or set back makes its state again from the log, and with it all that was
wrong before. So the state is audited before each such strike too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from freshet.core.clock import system_clock
from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from replay.chaos.load import Load
from replay.chaos.plan import EMBEDDED, KAFKA, Strike, audited_before
from replay.chaos.recovery import Recoveries, Wound, clock_from_now
from replay.chaos.strikes import STRIKES
from replay.chaos.traffic import Traffic
from replay.chaos.verdict import Verdict, examine
from replay.chaos.victims import Victims
from replay.chaos.visitors import Visitors

LOOK_S = 0.1
DRAIN_S = 90.0
RECOVERY_S: Final = {KAFKA: 15.0, EMBEDDED: 60.0}
"""How long a strike may be felt. The embedded broker lets a worker that died come back only when
the session of the dead one has timed out, and hands over a backlog bit by bit."""


class Display(Protocol):
    """Shows a person how the run goes."""

    def show(self, now_s: float, events: int, lag: int, doing: str) -> None:
        """Show the time, what was sent, what is not applied yet, and what is happening."""

    def told(self, wound: Wound) -> None:
        """Tell of a strike that is over."""


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """A run.

    Attributes:
        seed: of the traffic.
        seconds: how long events are sent, longer when the strikes take longer.
        broker: one of `plan.BROKERS`.
        workers: how many.
        rate: records a second.
        without: the protection that the workers do without, one of `controls.PROTECTIONS`, or "".
    """

    seed: int
    seconds: float
    broker: str
    workers: int = 2
    rate: float = 500.0
    without: str = ""


@dataclass(frozen=True, slots=True)
class ChaosResult:
    """What a run came to.

    Attributes:
        events: that the last audit looked at.
        verdict: of the last audit; one that finds something ends the run.
        audits: how many there were.
    """

    options: ChaosOptions
    events: int
    wounds: Sequence[Wound]
    verdict: Verdict
    audits: int = 1

    @property
    def strikes(self) -> dict[str, int]:
        """Return how often each kind struck."""
        return dict(Counter(wound.strike.kind for wound in self.wounds))

    @property
    def recoveries_s(self) -> list[float]:
        """Return how long the strikes were felt that no other overtook."""
        return [wound.recovery_s for wound in self.wounds if wound.recovery_s is not None]

    @property
    def all_recovered(self) -> bool:
        """Whether every strike was recovered from within the objective."""
        felt = [wound for wound in self.wounds if not wound.overtaken]
        return len(felt) == len(self.recoveries_s) and all(
            seconds <= self.longest_recovery_s for seconds in self.recoveries_s
        )

    @property
    def longest_recovery_s(self) -> float:
        """Return how long a strike may be felt."""
        return RECOVERY_S[self.options.broker]

    @property
    def ok(self) -> bool:
        """Whether what is promised was kept."""
        return self.verdict.is_exact and self.all_recovered

    def figures(self) -> dict[str, object]:
        """Return the figures, as they are printed."""
        verdict, recoveries_s = self.verdict, self.recoveries_s or [0.0]
        return {
            "seed": self.options.seed,
            "seconds": self.options.seconds,
            "broker": self.options.broker,
            "workers": self.options.workers,
            "without": self.options.without,
            "events": self.events,
            "strikes": self.strikes,
            "audits": self.audits,
            "users_wrong": verdict.users.wrong,
            "items_wrong": verdict.items.wrong,
            **{f"{each.name}_wrong": each.wrong for each in verdict.findings},
            "lost": max(verdict.users.lost, verdict.items.lost),
            "doubled": max(verdict.users.doubled, verdict.items.doubled),
            "lag": verdict.lag,
            "copies": verdict.copies,
            "dead_letters": verdict.dead_letters,
            "compared": {each.name: each.compared for each in verdict.findings},
            "recovery_s": {
                "median": round(float(np.median(recoveries_s)), 1),
                "max": round(max(recoveries_s), 1),
            },
            "ok": self.ok,
        }


def run_chaos(
    options: ChaosOptions,
    strikes: Sequence[Strike],
    settings: Settings,
    folder: Path,
    display: Display,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> ChaosResult:
    """Start everything, strike, drain and audit. To be called from the main thread.

    Args:
        options: of the run.
        strikes: in the order of their times.
        settings: of the workers; addresses and namespace are replaced.
        folder: for all data and logs; must not hold a run yet.
        display: shows progress.
        sleep: waits so many seconds.

    Raises:
        ServiceError: something did not start, or ended in a way that no strike explains.
    """
    with Victims(
        settings, folder, broker=options.broker, workers=options.workers, without=options.without
    ) as victims:
        return _Run(options, victims, display, sleep).through(strikes)


class _Run:
    def __init__(
        self,
        options: ChaosOptions,
        victims: Victims,
        display: Display,
        sleep: Callable[[float], None],
    ) -> None:
        self._options = options
        self._victims = victims
        self._display = display
        self._sleep = sleep
        settings = victims.settings
        self._partitions = discover_partitions(settings)
        topics = Topics(settings.namespace)
        rng = np.random.default_rng(options.seed)
        self._traffic = Traffic(rng, topics, self._partitions, system_clock)
        self._load = Load(self._traffic, lambda: EventProducer(settings), options.rate)
        victims.send_burst = self._load.send_burst
        self._visitors = Visitors(victims.url)
        self._audits = self._audited_events = 0
        self._begin()

    def _begin(self) -> None:
        """Let the time of the run begin now; it stands still during an audit."""
        clock, self._audited_s = clock_from_now(), 0.0

        def now_s() -> float:
            return clock() - self._audited_s

        self._clock = now_s
        self._recoveries = Recoveries(self._connect, self._clock)

    def _connect(self) -> ProgressReader:
        return ProgressReader(self._victims.settings, self._partitions)

    def through(self, strikes: Sequence[Strike]) -> ChaosResult:
        """Go through the strikes, up to an audit that finds something."""
        self._load.start()
        try:
            self._recoveries.note(Strike(0.0, "start"))
            self._let_pass("the workers join", self._is_awaited)
            self._recoveries.close()
            self._begin()
            self._visitors.start()
            verdict = self._strikes(strikes)
            if verdict is None:
                self._let_pass_until(self._options.seconds)
                self._let_pass("recovering", self._is_awaited)
                verdict = self._audit()
            self._load.stop()
        except BaseException:
            self._load.abandon()
            raise
        finally:
            self._visitors.stop()
            self._recoveries.close()
        wounds = self._recoveries.wounds
        return ChaosResult(self._options, self._audited_events, wounds, verdict, self._audits)

    def _strikes(self, strikes: Sequence[Strike]) -> Verdict | None:
        """Strike; return the verdict of an audit that found something, which ends it."""
        for strike, is_audited in zip(strikes, audited_before(strikes), strict=True):
            self._let_pass_until(strike.at_s)
            if strike.waits:
                self._let_pass("recovering", self._is_awaited)
            if is_audited and not (verdict := self._audit()).is_exact:
                return verdict
            self._strike(strike)
        return None

    def _audit(self) -> Verdict:
        """Let the workers finish what was sent, and look at everything."""
        started_s, self._audits = self._clock(), self._audits + 1
        with self._visitors.paused(), self._load.paused():
            self._drain()
            self._audited_events = events = self._traffic.events
            self._display.show(started_s, events, 0, "audit")
            verdict, truth = examine(self._victims.settings, self._partitions, events)
            seen = self._visitors.findings(truth.acting, verdict.offered, self._sleep)
        self._audited_s += self._clock() - started_s
        return replace(verdict, findings=[*verdict.findings, *seen])

    def _strike(self, strike: Strike) -> None:
        def wait(seconds: float) -> None:
            self._let_pass_until(self._clock() + seconds, strike.kind, look=False)

        self._display.show(self._clock(), self._traffic.events, self._recoveries.lag, strike.kind)
        STRIKES[strike.kind](self._victims, strike, wait)
        self._recoveries.note(strike)

    def _is_awaited(self) -> bool:
        return self._recoveries.is_open and not self._recoveries.overdue

    def _let_pass_until(self, at_s: float, doing: str = "", *, look: bool = True) -> None:
        self._let_pass(doing, lambda: self._clock() < at_s, look=look)

    def _let_pass(self, doing: str, goes_on: Callable[[], bool], *, look: bool = True) -> None:
        """Wait for as long as `goes_on`, showing progress and looking how the folds are."""
        while goes_on():
            self._look(doing, look=look)
            self._sleep(LOOK_S)

    def _look(self, doing: str, *, look: bool = True) -> None:
        self._load.require_alive()
        self._victims.require_running()
        was_open = self._recoveries.is_open
        if look:
            self._recoveries.look()
        if was_open and not self._recoveries.is_open:
            self._display.told(self._recoveries.wounds[-1])
        self._display.show(self._clock(), self._traffic.events, self._recoveries.lag, doing)

    def _drain(self) -> None:
        """Wait until everything is in the state; what is not by then is for the verdict to say."""
        deadline_s = self._clock() + DRAIN_S
        self._let_pass("draining", lambda: not self._is_drained() and self._clock() < deadline_s)

    def _is_drained(self) -> bool:
        try:
            with self._connect() as reader:
                return reader.drained()
        except ServiceError:  # the last strike is still felt
            return False
