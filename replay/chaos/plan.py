"""The plan of a chaos run: what is struck, when and for how long. Pure.

Law: the plan is a function of its arguments, so a seed names a run. Kinds are dealt from a
shuffled deck: a long run meets each of them, and none twice before the others had their turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

FIRST_S = 4.0  # the workers have joined, and there is something to lose
GAP_S = (4.0, 8.0)  # from the end of a strike to the next
CALM_S = 6.0  # at the end of a run, for the last strike to be felt
PRESSING = 0.25  # share of strikes that do not wait for the recovery from the one before

KAFKA: Final = "kafka"
EMBEDDED: Final = "embedded"
BROKERS: Final = (KAFKA, EMBEDDED)

BUG_PLACES: Final = ("before_fold", "before_write", "after_write")
"""Where a bug can strike a round: nothing is done, deltas are out, everything is done."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of strike.

    Attributes:
        does: the damage, for a person.
        lasts_s: bounds of how long what is frozen or away stays so.
        brokers: on which it can be done.
    """

    does: str
    lasts_s: tuple[float, float] = (0.0, 0.0)
    brokers: tuple[str, ...] = BROKERS


KINDS: Final[dict[str, Kind]] = {
    "kill_worker": Kind("kill -9 a worker"),
    "kill_all_workers": Kind("kill -9 all workers at once"),
    "stop_worker": Kind("SIGTERM a worker, start it again"),
    "freeze_worker": Kind("SIGSTOP a worker and wake it: a zombie", (12.0, 12.0)),
    "extra_worker": Kind("a worker joins, folds and leaves again", (1.0, 3.0), (KAFKA,)),
    "burst": Kind("kill -9 all workers, thousands of newcomers at once"),
    "kill_server": Kind("kill -9 the server, start it again"),
    "bug": Kind("an exception in a round"),
    "kill_broker": Kind("kill -9 the broker, start it again", (0.0, 3.0), (KAFKA,)),
    "freeze_broker": Kind("SIGSTOP the broker and wake it", (5.0, 8.0)),
    "kill_redis": Kind("kill -9 Redis, restart on its log", (0.0, 2.0)),
    "rewind_redis": Kind("Redis back on a log seconds old", (2.0, 3.0)),
    "flush_redis": Kind("FLUSHALL"),
}

HEALS: Final = frozenset({"rewind_redis", "flush_redis"})
"""Kinds after which the state is made again from the log: what was wrong before is seen no more."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike.

    Attributes:
        at_s: when, in seconds from the start of the run.
        kind: one of `KINDS`.
        worker: which worker it hits, where it hits one.
        lasts_s: how long what is frozen or away stays so; of a rewind, the age of the old log.
        waits: for the recovery from the strike before, however late it gets.
        place: where in a round a bug strikes, one of `BUG_PLACES`.
    """

    at_s: float
    kind: str
    worker: int = 0
    lasts_s: float = 0.0
    waits: bool = True
    place: str = BUG_PLACES[0]


def plan_strikes(seed: int, seconds: float, *, broker: str, workers: int) -> list[Strike]:
    """Return the strikes of a run, in their order.

    Args:
        seed: names the plan.
        seconds: how long the run lasts.
        broker: one of `BROKERS`.
        workers: how many there are.

    >>> plan = plan_strikes(1, 180, broker=KAFKA, workers=2)
    >>> {strike.kind for strike in plan} == set(KINDS)
    True
    """
    rng = np.random.default_rng(seed)
    possible = [name for name, kind in KINDS.items() if broker in kind.brokers]
    strikes: list[Strike] = []
    deck: list[str] = []
    at_s = FIRST_S
    while True:
        deck = deck or [possible[row] for row in rng.permutation(len(possible))]
        kind = deck.pop()
        strike = Strike(
            round(at_s, 1),
            kind,
            worker=int(rng.integers(workers)),
            lasts_s=round(float(rng.uniform(*KINDS[kind].lasts_s)), 1),
            waits=not strikes or bool(rng.random() >= PRESSING),
            place=BUG_PLACES[rng.integers(len(BUG_PLACES))],
        )
        if at_s + strike.lasts_s > seconds - CALM_S:
            return strikes
        strikes.append(strike)
        at_s += strike.lasts_s + float(rng.uniform(*GAP_S))


def audited_before(strikes: Sequence[Strike]) -> list[bool]:
    """Return before which strikes the state must be audited, since what follows may heal it.

    One that does not wait for the recovery from the strike before comes upon it, so the audit
    stands before the first of such a row.

    >>> row = [Strike(1, "kill_worker"), Strike(2, "bug"), Strike(3, "flush_redis", waits=False)]
    >>> audited_before(row)
    [False, True, False]
    """
    audited = [False] * len(strikes)
    first = 0
    for at, strike in enumerate(strikes):
        if strike.waits:
            first = at
        if strike.kind in HEALS:
            audited[first] = True
    return audited
