"""From event time to the wall clock: when an event of the log is due.

Pure: both times are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Timeline:
    """Plays a log so many times faster than it was lived.

    Attributes:
        speed: seconds of the log in a second of the wall; infinite = as fast as it can be taken.
        first_ts_ms: event time of the first event.
        started_s: wall-clock seconds at which the first event is due.
    """

    speed: float
    first_ts_ms: int
    started_s: float

    def due_s(self, ts_ms: int) -> float:
        """Return the wall-clock second at which an event is due.

        An event that is older than the first one is due at once.

        >>> Timeline(10, first_ts_ms=5_000, started_s=100.0).due_s(25_000)
        102.0
        >>> Timeline(inf, first_ts_ms=5_000, started_s=100.0).due_s(25_000)
        100.0
        """
        return self.started_s + max(ts_ms - self.first_ts_ms, 0) / 1000 / self.speed


def parse_speed(text: str) -> float:
    """Return the speed that a person wrote: `max`, or a number above 0.

    Raises:
        ValueError: it is neither.

    >>> parse_speed("60"), parse_speed("max")
    (60.0, inf)
    """
    if text == "max":
        return inf
    speed = float(text) if text.replace(".", "", 1).isdigit() else 0.0
    if speed <= 0:
        raise ValueError(f"speed is {text!r}, expected max or a number above 0, such as 60")
    return speed
