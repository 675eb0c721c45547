"""How long a strike is felt.

A strike counts as recovered from when of every partition an event that came after the damage is in
the state of both sides. That everything has stood still meanwhile, because nothing could be sent
either, does not count as recovery.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from freshet.core.errors import ServiceError
from freshet.core.progress import Offsets, ProgressReader
from replay.chaos.plan import Strike
from replay.pacing import applied_by_both

LONGEST_S = 60.0


@dataclass(slots=True)
class Wound:
    """A strike that was struck.

    Attributes:
        at_s: when the damage was over, in seconds from the start of the run.
        beyond: (partitions,) an event at such an offset or behind came after the damage.
        recovery_s: how long it was felt then; None while it is, or when the next strike came
            before it was over.
    """

    strike: Strike
    at_s: float
    beyond: Offsets | None = None
    recovery_s: float | None = None
    overtaken: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is still felt."""
        return self.recovery_s is None and not self.overtaken


@dataclass(slots=True)
class Recoveries:
    """The strikes of a run and how long each was felt.

    Args:
        connect: makes a reader; after a failure another one, since a client that has met a dead
            broker waits longer and longer before it looks again.
        clock: seconds from the start of the run.
    """

    connect: Callable[[], ProgressReader]
    clock: Callable[[], float]
    wounds: list[Wound] = field(default_factory=list)
    lag: int = 0
    _reader: ProgressReader | None = None

    def note(self, strike: Strike) -> None:
        """Note a strike whose damage is over now."""
        for wound in self.wounds:
            wound.overtaken |= wound.is_open
        self.close()
        self.wounds.append(Wound(strike, self.clock()))

    @property
    def is_open(self) -> bool:
        """Whether the last strike is still felt."""
        return bool(self.wounds) and self.wounds[-1].is_open

    @property
    def overdue(self) -> bool:
        """Whether the last strike has been felt for too long to wait any more."""
        return self.is_open and self.clock() - self.wounds[-1].at_s > LONGEST_S

    def look(self) -> None:
        """Look once where the folds are."""
        try:
            self._reader = self._reader or self.connect()
            # In this order: what is applied here was in the log before the ends are read.
            users, items = self._reader.read("users"), self._reader.read("items")
        except ServiceError:  # that is what is being measured
            self.close()
            return
        applied = applied_by_both(users, items)
        self.lag = int((users.ends - applied).sum())
        if not self.is_open:
            return
        wound = self.wounds[-1]
        if wound.beyond is None:
            wound.beyond = users.ends
        elif (applied > wound.beyond).all():
            wound.recovery_s = self.clock() - wound.at_s

    def close(self) -> None:
        """Close the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def clock_from_now(clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Return a clock of seconds from now."""
    started_s = clock()
    return lambda: clock() - started_s
