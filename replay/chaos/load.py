"""Sends the traffic at a rate, and keeps sending what was not acknowledged until it is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from freshet.core.errors import ServiceError
from freshet.core.events.producer import Delivered, EventProducer, Record
from replay.chaos.traffic import Traffic

TICK_S = 0.2  # the embedded broker hands over one tick's records at a time
MOST_RECORDS = 500  # of a chunk: what may be sent twice must stay within what the state remembers
FLUSH_S = 2.0
PAUSE_S = 0.2
ACKNOWLEDGED_S = 60.0  # until what is under way is, whatever is away


class Load:
    """A thread that sends, chunk by chunk.

    A chunk is sent when the one before it is acknowledged whole. What was not is sent again under
    the same event ids, as the README tells producers to do; it may then be in the log twice.

    Args:
        traffic: makes the records.
        connect: makes a producer; another one when the first has failed for good.
        rate: records a second; time that a broker was away is not made up for.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        traffic: Traffic,
        connect: Callable[[], EventProducer],
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._traffic = traffic
        self._connect = connect
        self._producer = connect()
        self._tick_s = min(TICK_S, MOST_RECORDS / rate)
        self._count = max(round(rate * self._tick_s), 1)
        self._clock = clock
        self._sleep = sleep
        self._ending = threading.Event()
        self._abandoned = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._resting = threading.Event()
        self._bursts: SimpleQueue[threading.Event] = SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="chaos-load", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def require_alive(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def paused(self, timeout_s: float = ACKNOWLEDGED_S) -> Iterator[None]:
        """Send nothing for as long as the context lasts; all that was sent is acknowledged.

        Raises:
            ServiceError: the chunk under way was not acknowledged in time.
        """
        self._going.clear()
        try:
            self._await(self._resting, timeout_s)
            yield
        finally:
            self._going.set()

    def send_burst(self, timeout_s: float = ACKNOWLEDGED_S) -> None:
        """Send a burst of the traffic, between two chunks, and wait until it is acknowledged.

        Raises:
            ServiceError: it was not in time.
        """
        sent = threading.Event()
        self._bursts.put(sent)
        self._await(sent, timeout_s)

    def stop(self, timeout_s: float = ACKNOWLEDGED_S) -> None:
        """Finish the chunk under way and end.

        Raises:
            ServiceError: the last chunk was not acknowledged in time.
        """
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self.require_alive()
        if self._thread.is_alive():
            raise ServiceError("kafka", f"records not acknowledged within {timeout_s:g} s")
        self._producer.close()

    def abandon(self) -> None:
        """End without waiting, whatever is not acknowledged: the run has failed."""
        self._ending.set()
        self._abandoned.set()
        self._going.set()

    def _run(self) -> None:
        try:
            self.send(self._traffic.opening())
            due_s = self._clock()
            while not self._ending.is_set():
                self._rest()
                self._burst()
                self.send(self._traffic.chunk(self._count))
                due_s = max(due_s + self._tick_s, self._clock() - self._tick_s)
                self._sleep(max(due_s - self._clock(), 0.0))
        except Exception as error:
            self._error = error

    def _rest(self) -> None:
        if not self._going.is_set():
            self._resting.set()
            self._going.wait()
            self._resting.clear()

    def _burst(self) -> None:
        with contextlib.suppress(Empty):
            sent = self._bursts.get_nowait()
            self.send(self._traffic.burst())
            sent.set()

    def _await(self, event: threading.Event, timeout_s: float) -> None:
        done = event.wait(timeout_s)
        self.require_alive()
        if not done:
            raise ServiceError("kafka", f"records not acknowledged within {timeout_s:g} s")

    def send(self, records: Sequence[Record]) -> None:
        """Send until all are acknowledged, in their order where nothing fails."""
        waiting = dict(enumerate(records))
        while waiting and not self._abandoned.is_set():
            failed: list[int] = []
            self._attempt(waiting, failed)
            if failed:
                waiting = {index: records[index] for index in sorted(failed)}
                self._sleep(PAUSE_S)

    def _attempt(self, waiting: dict[int, Record], failed: list[int]) -> None:
        """Send once; leave in `waiting` nothing, and in `failed` what must be sent again."""

        def report(index: int) -> Delivered:
            def delivered(error: object, _message: object) -> None:
                if error is not None:
                    failed.append(index)
                waiting.pop(index, None)

            return delivered

        try:
            for index, record in list(waiting.items()):
                self._producer.send_record(record, report(index))
            while waiting and not self._abandoned.is_set():
                self._flush()
        except ServiceError:  # the client gave up: nothing that it still holds will arrive
            self._producer.close(0)
            self._producer = self._connect()
            failed[:] = sorted({*failed, *waiting})
            waiting.clear()

    def _flush(self) -> None:
        try:
            self._producer.flush(FLUSH_S)
        except ServiceError:
            return  # not yet; the client tries on, and reports each record in the end
