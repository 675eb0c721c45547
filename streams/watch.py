"""The watch over a worker: a thread that looks every few seconds whether the worker gets on.

Law: nothing here waits for the event loop, the folds or the consumer, for those are what may be
stuck. It ends the process when `streams.liveness` finds that it must.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
from confluent_kafka import KafkaException

from freshet.core.errors import LivenessError
from freshet.core.metrics import CONSUMER_LAG, PARTITION_END
from streams.health import Health
from streams.liveness import AssignedPositions, Limits, Liveness, Partition, Sight
from streams.log_ends import READ_S, REQUEST_S, LogEnds

log = logging.getLogger(__name__)

TICK_S = 0.5
LOOKS_PER_STALL = 6
LOOK_S = 5.0  # where nothing is a stall
SILENT_S = 10.0  # a loop that is silent for so long is not well, though it may come back


class Watch:
    """Looks at this process, exports what it sees, and ends it when it no longer gets on.

    Args:
        positions: kept by the app.
        ends: asks the brokers.
        limits: what the worker may take.
        end: ends the process.
        loop: the event loop of the worker.
    """

    def __init__(
        self,
        positions: AssignedPositions,
        ends: LogEnds,
        limits: Limits,
        end: Callable[[BaseException], object],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._positions = positions
        self._ends = ends
        self._end = end
        self._loop = loop
        self._process = psutil.Process()
        self._look_s = limits.stall_s / LOOKS_PER_STALL or LOOK_S
        self._longest_look_s = self._look_s + REQUEST_S + READ_S + 1.0
        now_s = monotonic()
        self._liveness = Liveness(limits, now_s)
        self._beat_s = self._looked_s = now_s
        self._lag: dict[Partition, int] = {}
        self._failure: LivenessError | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more: the worker was asked to end, and its positions may stand."""
        self._stopped.set()

    def health(self) -> Health:
        """Return what is known now; never waits."""
        return Health(status=self._status(), partitions=len(self._lag), lag=sum(self._lag.values()))

    def look(self) -> None:
        """Look once.

        Raises:
            LivenessError: the worker must end.
        """
        self._loop.call_soon_threadsafe(self._beat)
        positions = self._positions.read()
        ends = self._ends.read(positions or ())
        self._export(positions or {}, ends)
        now_s = monotonic()
        memory_bytes = self._process.memory_info().rss
        sight = Sight(positions, ends, now_s - self._beat_s, memory_bytes)
        for partition in self._liveness.look(now_s, sight):
            if not self._confirm(partition, ends[partition]):
                break  # the next look asks again
        self._looked_s = monotonic()

    def _run(self) -> None:
        try:
            while self._wait():
                self.look()
        except Exception as error:
            self._give_up(error)

    def _wait(self) -> bool:
        """Wait for the next look, in short sleeps; return whether there is one."""
        due_s = monotonic() + self._look_s
        while (slept_at_s := monotonic()) < due_s:
            if self._stopped.wait(min(TICK_S, self._look_s)):
                return False
            self._liveness.wake(monotonic() - slept_at_s)
        return True

    def _give_up(self, error: Exception) -> None:
        if self._stopped.is_set():  # a worker that is being stopped has a time limit of its own
            return
        if isinstance(error, LivenessError):
            self._failure = error
            if error.reason == "stalled":
                self._dump()
        self._end(error)

    def _confirm(self, partition: Partition, end: int) -> bool:
        """Raise when a record waits at the position; return whether the brokers could say."""
        before = (self._positions.read() or {}).get(partition)
        try:
            waiting = self._ends.next_record(partition, before or 0)
        except KafkaException as error:
            log.warning("cannot tell whether partition %s stalls: %s", partition, error)
            return False
        if waiting is None or waiting >= end:
            self._liveness.clear(partition, end)
        elif (self._positions.read() or {}).get(partition) == before is not None:
            raise self._liveness.stalled(partition)
        return True

    def _beat(self) -> None:
        self._beat_s = monotonic()

    def _status(self) -> str:
        now_s = monotonic()
        if self._failure is not None:
            return str(self._failure)
        if now_s - self._beat_s > self._look_s + SILENT_S:
            return f"the event loop is silent for {now_s - self._beat_s:.0f} s"
        if now_s - self._looked_s > self._longest_look_s + SILENT_S:
            return f"nobody has looked for {now_s - self._looked_s:.0f} s"
        return "ok"

    def _export(
        self, positions: Mapping[Partition, int | None], ends: Mapping[Partition, int]
    ) -> None:
        lag = {
            each: max(ends[each] - at, 0)
            for each, at in positions.items()
            if at is not None and each in ends
        }
        for fold, number in self._lag.keys() - positions.keys():
            for gauge in (PARTITION_END, CONSUMER_LAG):
                gauge.remove(fold, str(number))  # it is another worker's now
        for (fold, number), behind in lag.items():
            PARTITION_END.labels(fold, str(number)).set(ends[fold, number])
            CONSUMER_LAG.labels(fold, str(number)).set(behind)
        kept = {each: behind for each, behind in self._lag.items() if each in positions}
        self._lag = {**kept, **lag}

    def _dump(self) -> None:
        """Write where every thread and every task stands, for whoever looks for the cause."""
        faulthandler.dump_traceback(all_threads=True)
        for task in asyncio.all_tasks(self._loop):
            print(f"Task {task.get_name()}: {_awaited(task.get_coro())}", file=sys.stderr)


def _awaited(awaitable: Any) -> str:
    """Return the chain of what waits for what; a task's own stack shows the first alone."""
    chain = []
    while (frame := getattr(awaitable, "cr_frame", None)) is not None:
        code = frame.f_code
        chain.append(f"{code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})")
        awaitable = awaitable.cr_await
    return " < ".join(chain)
