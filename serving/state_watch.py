"""Whether what is in the log gets into the state: a list rests on less than it should otherwise.

Law: the state is behind while records wait in a partition whose position stands still. A replay at
full speed has much that waits, and moves; an idle installation stands still, and nothing waits
(heartbeats pass through it all the time, but their absence alone is no lag). Event time plays no
part. What cannot be read changes nothing: who does not answer is reported elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ServiceError
from freshet.core.metrics import STATE_STANDSTILL
from freshet.core.progress import FoldProgress, ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import CLIENT_ERRORS

FOLDS: Final = ("users", "items")
LOOK_EVERY_S: Final = 2.0
REQUEST_S: Final = 1.0  # the end of the process waits for a look
BEHIND_AFTER_S: Final = 5.0  # a worker that is asked to stop hands its partitions over within that

log = logging.getLogger(__name__)

Look = Callable[[], Mapping[str, FoldProgress]]
"""Reads how far each of `FOLDS` has come; may block; raises `ServiceError`."""


def progress_look(settings: Settings, partitions: int) -> Look:
    """Return what reads the progress from Redis and Kafka, connected when it is first called."""
    reader: ProgressReader | None = None

    def look() -> Mapping[str, FoldProgress]:
        nonlocal reader
        if reader is None:
            try:
                reader = ProgressReader(settings, partitions, request_s=REQUEST_S)
            except CLIENT_ERRORS as error:
                raise ServiceError("redis", str(error)) from error
        return {fold: reader.read(fold) for fold in FOLDS}

    return look


class Standstill:
    """How long partitions of a fold have stood still although records wait."""

    def __init__(self) -> None:
        self._next: NDArray[np.int64] = np.empty(0, np.int64)
        self._since_s: NDArray[np.float64] = np.empty(0)
        self._looked_s = 0.0

    def look(self, progress: FoldProgress, now_s: float) -> float:
        """Return the longest standstill of a partition, s.

        Args:
            progress: of the fold.
            now_s: a monotonic clock.
        """
        at = np.maximum(progress.next, progress.starts)
        if len(self._next) != len(at):
            self._next, self._since_s = at, np.full(len(at), now_s)
        elif now_s - self._looked_s > 2 * BEHIND_AFTER_S:
            # Nobody has looked: it may have moved and stopped again meanwhile.
            self._since_s[:] = now_s
        fine = (at != self._next) | (progress.lag == 0)
        self._since_s[fine] = now_s
        self._next, self._looked_s = at, now_s
        return float((now_s - self._since_s).max(initial=0.0))


class StateWatch:
    """Looks at the folds again and again.

    Args:
        look: see `Look`.
        now: a monotonic clock, s.

    Attributes:
        standstill_s: how long a partition has stood still although records wait.
    """

    def __init__(self, look: Look, now: Callable[[], float] = monotonic) -> None:
        self._look = look
        self._now = now
        self._folds = {fold: Standstill() for fold in FOLDS}
        self.standstill_s = 0.0

    @property
    def behind(self) -> bool:
        """Whether the state lacks what nobody applies."""
        return self.standstill_s > BEHIND_AFTER_S

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                self.note(await asyncio.to_thread(self._look))
            except ServiceError as error:
                log.debug("how far the state is behind is not known: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    def note(self, progress: Mapping[str, FoldProgress]) -> None:
        """Take what a look has found, and log what changed."""
        was_behind, now_s = self.behind, self._now()
        self.standstill_s = max(
            standstill.look(progress[fold], now_s) for fold, standstill in self._folds.items()
        )
        STATE_STANDSTILL.set(self.standstill_s)
        if self.behind and not was_behind:
            log.error("events are not applied: is a worker running? Lists rest on an old state")
        if was_behind and not self.behind:
            log.warning("events are applied again")
