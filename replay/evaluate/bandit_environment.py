"""Bandit problems whose true click rates are known: headline experiments, played again.

Each experiment of the log is a problem of its own; its arms click at the rates that the log
counted. Experiments come in the order of time, those of a week at once, and a policy may take what
it saw of earlier weeks to the later ones. Feedback is late and in batches, as it is live: between
two updates a policy knows nothing of what it does.

All seeds are played at once, as one axis of the arrays. A batch of independent draws is one draw
of the multinomial distribution, so that a policy is asked once per update.
"""

from __future__ import annotations

import gzip
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from online_models.maths.bandit import faded

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
_WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Problems:
    """The experiments of one week that have equally many arms, the longest first.

    Attributes:
        week: number of the week.
        numbers: (p,) of the experiments, counted through the log.
        rates: (p, n) true click rates.
        horizons: (p,) impressions to be given to each, falling.
    """

    week: int
    numbers: Counts
    rates: Floats
    horizons: Counts


@dataclass(frozen=True, slots=True)
class Conditions:
    """What play is like.

    Attributes:
        update_every: impressions of an experiment between two updates.
        late_updates: by how many updates clicks come late.
        examination: probability that an impression is looked at, in the first and in the second
            half of an experiment: the slot moves to another position.
        turn: whether the rates change hands half-way: the best arm becomes the worst. Nobody is
            told.
        half_life: impressions of an experiment after which what was seen weighs half.
    """

    update_every: int = 100
    late_updates: int = 0
    examination: tuple[float, float] = (1.0, 1.0)
    turn: bool = False
    half_life: float = math.inf


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy knows before an update, (seeds, p, n) each.

    Attributes:
        impressions: matured: their clicks, if any, are in `clicks`.
        examined: how many of `impressions` were looked at, in expectation given their positions.
        clicks: of the matured.
        pending: impressions that may yet be clicked.
    """

    impressions: Floats
    examined: Floats
    clicks: Floats
    pending: Floats


class Policy(Protocol):
    """Who is judged. A policy is made for one play of the whole log."""

    def start_week(self) -> None:
        """Learn what earlier weeks have told."""

    def allocate(self, seen: Seen, rounds: Counts, rng: np.random.Generator) -> Counts:
        """Return the (seeds, p, n) impressions of each arm until the next update.

        Args:
            seen: what is known.
            rounds: (p,) impressions to be given.
            rng: the generator.
        """
        ...

    def end(self, problems: Problems, seen: Seen) -> None:
        """Take what is known when the problems have ended."""


class _Arm(msgspec.Struct):
    ts: int
    test_id: str
    impressions: int
    clicks: int


def read_experiments(path: Path, most_impressions: int) -> list[Problems]:
    """Return the experiments of a log of arms, in the order of time.

    Args:
        path: JSON lines, gzip: `ts` (ms), `test_id`, `impressions`, `clicks` of each arm.
        most_impressions: a longer experiment ends there.

    Raises:
        FileNotFoundError: there is no such log.
    """
    with gzip.open(path) as lines:
        arms = [msgspec.json.decode(line, type=_Arm) for line in lines]
    by_test: dict[str, list[_Arm]] = {}
    for arm in arms:
        by_test.setdefault(arm.test_id, []).append(arm)
    # An experiment runs in the week in which its last arm came.
    rows = [(max(arm.ts for arm in each) // _WEEK_MS, len(each), each) for each in by_test.values()]
    rows.sort(key=lambda row: (row[0], row[1], -sum(arm.impressions for arm in row[2])))
    numbers = iter(range(len(rows)))
    return [
        _problems(week, [row[2] for row in some], numbers, most_impressions)
        for (week, _), some in groupby(rows, key=lambda row: row[:2])
    ]


def _problems(week: int, tests: list[list[_Arm]], numbers: Iterator[int], most: int) -> Problems:
    shown = np.array([[arm.impressions for arm in arms] for arms in tests])
    clicked = np.array([[arm.clicks for arm in arms] for arms in tests])
    horizons = np.minimum(shown.sum(axis=1), most)
    return Problems(week, np.array([next(numbers) for _ in tests]), clicked / shown, horizons)


def play(
    policy: Policy,
    log: list[Problems],
    seeds: int,
    rng: np.random.Generator,
    conditions: Conditions,
) -> Floats:
    """Return the expected regret of a policy in each experiment, (seeds, experiments).

    Regret is the clicks that the best arm of an experiment would have had more, in expectation
    over the clicks, given the impressions that the policy chose.

    Args:
        policy: made for this play.
        log: from `read_experiments`.
        seeds: plays, independent of each other.
        rng: the only randomness.
        conditions: the same for all policies that are compared.
    """
    regret = np.empty((seeds, sum(len(problems.numbers) for problems in log)))
    for _, of_week in groupby(log, key=lambda problems: problems.week):
        policy.start_week()
        for problems in of_week:
            game = _Game(problems, seeds, conditions)
            while game.left.any():
                game.step(policy, rng)
            policy.end(problems, game.seen)
            regret[:, problems.numbers] = game.regret
    return regret


class _Game:
    """The problems of a week under way, for all seeds at once."""

    def __init__(self, problems: Problems, seeds: int, conditions: Conditions) -> None:
        self._problems, self._conditions = problems, conditions
        self._later_rates = _turned(problems.rates) if conditions.turn else problems.rates
        self._unseen: deque[tuple[Counts, Floats, Counts]] = deque()
        shape = (seeds, *problems.rates.shape)
        self.seen = Seen(*(np.zeros(shape) for _ in range(4)))
        self.left = problems.horizons.copy()  # (p,)
        self.regret = np.zeros(shape[:2])

    def step(self, policy: Policy, rng: np.random.Generator) -> None:
        """Play until the next update."""
        n = int(np.count_nonzero(self.left))  # the longest come first, so these are all that run
        rounds = np.minimum(self.left[:n], self._conditions.update_every)
        known = Seen(*(each[:, :n] for each in _fields(self.seen)))
        shown = policy.allocate(known, rounds, rng)
        early = (2 * self.left[:n] > self._problems.horizons[:n])[:, None]  # (n, 1)
        first, second = self._conditions.examination
        looked_at: Floats = np.where(early, first, second)
        rates = looked_at * np.where(early, self._problems.rates[:n], self._later_rates[:n])
        clicked = rng.binomial(shown, rates)
        self.regret[:, :n] += (shown * (rates.max(axis=1, keepdims=True) - rates)).sum(axis=2)
        self.left[:n] -= rounds
        self.seen.pending[:, :n] += shown
        self._unseen.append((shown, shown * looked_at, clicked))
        while len(self._unseen) > (self._conditions.late_updates if self.left.any() else 0):
            self._mature(*self._unseen.popleft())

    def _mature(self, shown: Counts, examined: Floats, clicked: Counts) -> None:
        n = shown.shape[1]
        seen, conditions = self.seen, self._conditions
        columns = (seen.impressions, shown), (seen.examined, examined), (seen.clicks, clicked)
        for column, more in columns:
            column[:] = faded(column, conditions.update_every, conditions.half_life)
            column[:, :n] += more
        seen.pending[:, :n] -= shown


def _fields(seen: Seen) -> tuple[Floats, ...]:
    return seen.impressions, seen.examined, seen.clicks, seen.pending


def _turned(rates: Floats) -> Floats:
    """Give the best rate of each row to the arm with the worst, and so on."""
    ranks = rates.argsort(axis=1).argsort(axis=1)
    return np.take_along_axis(np.sort(rates, axis=1)[:, ::-1], ranks, axis=1)
