"""How much training may do: work counted by what is done, so that it is the same on every machine.

Law: a budget is spent by steps, rows and requests, each at a fixed price, never by a clock. The
same data and seed therefore train the same model, however busy the machine is. The prices are
seconds of an idle machine with two processors, measured once; elsewhere a training takes more or
less time, but not more or less steps. Processor time is a cap far above the plan, against a price
that is wrong by far: who meets it says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_THREADS: Final = 1.5  # by which two threads are faster than one
_CAP: Final = 8.0  # seconds of processor time for each planned second; two threads take two
ASK_S: Final = 0.008
"""Price of a request or slate that is ranked again."""

RANKER_ROW_S: Final = 2e-6
"""Price of a row that the ranker learns from, forth and back; half of it to rank the row.

Of the slate head, whose rows are cheaper and whose batches are smaller, it is that of a place.
"""

TREE_ROW_S: Final = 3e-7
"""Price of a row for each tree that is grown on it."""


class Budget:
    """A plan of work, in seconds.

    Args:
        seconds: how much may be spent.
        now: processor time of this process, s.
        whole: the budget that this one is a share of; what is spent here is spent there.

    Attributes:
        seconds: how much may be spent.
        spent_s: how much is spent.

    >>> whole = Budget.of(10.0, now=lambda: 0.0)
    >>> part = whole.share(0.3)
    >>> part.spend(2.0)
    >>> part.left_s, whole.left_s, part.over()
    (1.0, 8.0, False)
    """

    def __init__(
        self,
        seconds: float,
        now: Callable[[], float] = time.process_time,
        whole: Budget | None = None,
    ) -> None:
        self.seconds = seconds
        self.spent_s = 0.0
        self._now = now
        self._whole = whole
        self._started_s = now()

    @classmethod
    def of(cls, seconds: float, now: Callable[[], float] = time.process_time) -> Budget:
        """Return a budget of which nothing is spent."""
        return cls(seconds, now)

    def spend(self, seconds: float) -> None:
        """Count work that was done, at its price."""
        self.spent_s += seconds
        if self._whole is not None:
            self._whole.spend(seconds)

    @property
    def left_s(self) -> float:
        """What is left of the plan, 0 when it is spent."""
        return max(self.seconds - self.spent_s, 0.0)

    @property
    def processor_s(self) -> float:
        """Processor time since it began, of all threads of this process."""
        return self._now() - self._started_s

    @property
    def capped(self) -> bool:
        """Whether far more processor time was taken than planned: what is trained is not whole."""
        return self.processor_s > _CAP * self.seconds > 0

    def spent(self) -> float:
        """Return the share of the plan that is spent, in [0, 1]."""
        return min(self.spent_s / self.seconds, 1.0) if self.seconds > 0 else 1.0

    def over(self) -> bool:
        """Return whether nothing is left."""
        return self.left_s <= 0 or self.capped

    def share(self, part: float) -> Budget:
        """Return a budget that begins now and is this part of the whole, or what is left of it."""
        return Budget(min(part * self.seconds, self.left_s), self._now, self)


def encoder_step_s(*, positions: int, length: int, pairs: int, items: int) -> float:
    """Return the price of a step of the encoder.

    Fitted to steps on three logs of 217 to 10,506 items; off by 8 % at the median.

    Args:
        positions: places in the windows of the batch, padding included.
        length: of the windows.
        pairs: targets times the items that each is compared with.
        items: in the log, since all identities are kept in the optimiser.
    """
    one_thread = (
        0.0143
        + 1.64e-5 * positions
        + 1.98e-7 * positions * length
        + 1.91e-8 * pairs
        + 3.0e-7 * items
    )
    return one_thread / _THREADS


def encoder_validation_s(*, requests: int, items: int) -> float:
    """Return the price of ranking all items for requests by the encoder."""
    return requests * (3e-4 + 1e-8 * items) / _THREADS
