"""Keeps a replay no further ahead of the folds than a small broker can hold.

librdkafka's in-process broker keeps 5 MB of a partition and drops the oldest records in silence.
So a replay counts what it sent to each partition, reads what the folds have applied, and waits
while more than a bounded number of bytes is between the two. A log that lost records all the same
is an error, and so are folds that stand still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from freshet.core.errors import ServiceError
from freshet.core.progress import FoldProgress, Offsets, ProgressReader, require_whole

MOST_IN_FLIGHT = 10_000  # events of a partition
MOST_BYTES_IN_FLIGHT = 4_000_000  # of a partition
RECORD_OVERHEAD_BYTES = 100  # of a record that travels alone
POLL_S = 0.01
STALLED_S = 60.0

_TOTALS = ("applied", "duplicates", "rejected", "erased", "erasures")


def _never() -> bool:
    return False


class Pacer:
    """Counts what was sent and waits for the folds to follow.

    Args:
        reader: tells how far the folds are.
        clock: monotonic seconds.
        sleep: waits so many seconds.
        stalled_s: how long the folds may stand still while they are waited for.
        most_in_flight: events of a partition, however small they are.

    Raises:
        ServiceError: a service does not answer.
    """

    def __init__(
        self,
        reader: ProgressReader,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stalled_s: float = STALLED_S,
        most_in_flight: int = MOST_IN_FLIGHT,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._sleep = sleep
        self._stalled_s = stalled_s
        self._most_in_flight = most_in_flight
        self._largest = 1
        self.sent: Offsets = reader.read("users").ends
        self.in_flight = 0

    def note_sent(self, partitions: Offsets, largest_bytes: int) -> None:
        """Count events that are on their way.

        Args:
            partitions: (n,) of `events`, one per event.
            largest_bytes: size of the largest of them.
        """
        self.sent = self.sent + np.bincount(partitions, minlength=len(self.sent))
        self._largest = max(self._largest, largest_bytes + RECORD_OVERHEAD_BYTES)

    @property
    def limit(self) -> int:
        """How many events of a partition may be in flight."""
        return max(min(self._most_in_flight, MOST_BYTES_IN_FLIGHT // self._largest), 1)

    def wait_for_room(self, stop: Callable[[], bool] = _never) -> None:
        """Wait until every partition may take more, or the end is asked for.

        Raises:
            ServiceError: records were lost, or the folds stand still.
        """
        self._wait(lambda: stop() or bool((self._measure() < self.limit).all()))

    def wait_until_drained(self, stop: Callable[[], bool] = _never) -> None:
        """Wait until everything in the logs is in the state, or the end is asked for.

        Raises:
            ServiceError: records were lost, or the folds stand still.
        """
        self._wait(lambda: stop() or self._reader.drained())
        self.in_flight = 0

    def _measure(self) -> Offsets:
        users, items = self._reader.read("users"), self._reader.read("items")
        require_whole("users", users)
        require_whole("items", items)
        # Others may produce too: what the log holds counts, and what is still on its way to it.
        in_flight = np.maximum(self.sent, users.ends) - applied_by_both(users, items)
        self.in_flight = int(in_flight.sum())
        return in_flight

    def _wait(self, done: Callable[[], bool]) -> None:
        moved_at, last = self._clock(), ""
        while not done():
            now, seen = self._clock(), self._describe()
            if seen != last:
                moved_at, last = now, seen
            elif now - moved_at > self._stalled_s:
                raise ServiceError(
                    "worker",
                    f"the folds stand still for {self._stalled_s:.0f} s at {seen}; is a "
                    "`freshet worker` running with the same FRESHET_NAMESPACE? `freshet doctor` "
                    "tells more",
                )
            self._sleep(POLL_S)

    def _describe(self) -> str:
        return ", ".join(
            f"{fold} {[_taken(fields) for fields in self._reader.positions(fold)]}"
            for fold in ("users", "items", "catalog")
        )


def _taken(fields: Mapping[str, int]) -> int:
    """Return how many records a partition has come past; heartbeats are no progress.

    >>> _taken({"next": 9, "applied": 4, "duplicates": 1, "rejected": 2}), _taken({"next": 9})
    (7, 9)
    """
    totals = [fields[name] for name in _TOTALS if name in fields]
    return sum(totals) if totals else fields.get("next", 0)


def applied_by_both(users: FoldProgress, items: FoldProgress) -> Offsets:
    """Return (partitions,) offsets of `events` up to which both folds have surely applied.

    An item partition that has drained its log has applied all that the user fold emitted; of one
    that has not, the positions of its sources tell.
    """
    applied = users.next
    for fields, lag in zip(items.fields, items.lag, strict=True):
        if lag:
            sources = [fields.get(f"source:{source}", 0) for source in range(len(applied))]
            applied = np.minimum(applied, sources)
    return applied
