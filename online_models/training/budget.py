"""A share of the time that training may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """A span of time.

    Attributes:
        started_s: when it began, on the monotonic clock.
        seconds: how long it is.
        now: the monotonic clock, s.
    """

    started_s: float
    seconds: float
    now: Callable[[], float]

    @classmethod
    def of(cls, seconds: float, now: Callable[[], float] = time.monotonic) -> Budget:
        """Return a budget that begins now."""
        return cls(now(), seconds, now)

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 when it is over."""
        return max(self.started_s + self.seconds - self.now(), 0.0)

    @property
    def spent_s(self) -> float:
        """Seconds since it began."""
        return self.now() - self.started_s

    def spent(self) -> float:
        """Return the share that is spent, in [0, 1]."""
        return 1 - self.left_s / self.seconds if self.seconds > 0 else 1.0

    def over(self) -> bool:
        """Return whether nothing is left."""
        return self.left_s <= 0

    def share(self, part: float) -> Budget:
        """Return a budget that begins now and is this part of the whole, or what is left of it."""
        return Budget.of(min(part * self.seconds, self.left_s), self.now)
