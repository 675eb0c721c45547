"""The load: what was not acknowledged is sent again, the same bytes, until it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from freshet.core.errors import ServiceError
from freshet.core.events.producer import Record
from replay.chaos.load import Load

RECORDS = [Record("t", 0, b"k", f"v{number}".encode()) for number in range(5)]


class FlakyProducer:
    """Keeps what it acknowledges; `refuses` says which values it does not, and when."""

    def __init__(self, refuses: Callable[[int, bytes], bool] = lambda *_: False) -> None:
        self.kept: list[bytes] = []
        self.tries = 0
        self.broken = False
        self.closed = False
        self._refuses = refuses
        self._queued: list[tuple[Any, Any]] = []

    def send_record(self, record: Record, on_delivery: Any) -> None:
        if self.broken:
            raise ServiceError("kafka", "the client gave up")
        self._queued.append((record.value, on_delivery))

    def flush(self, _timeout_s: float) -> None:
        self.tries += 1
        queued, self._queued = self._queued, []
        for value, report in queued:
            refused = self._refuses(self.tries, value)
            if not refused:
                self.kept.append(value)
            report("timed out" if refused else None, None)

    def close(self, _timeout_s: float = 0.0) -> None:
        self.closed = True


def load(*producers: Any) -> Load:
    left = list(producers)
    nothing: Any = None
    return Load(nothing, lambda: left.pop(0), 100.0, clock=lambda: 0.0, sleep=lambda _: None)


def test_nothing_is_sent_of_nothing() -> None:
    """An empty chunk does not wait."""
    producer = FlakyProducer()
    load(producer).send([])
    assert (producer.kept, producer.tries) == ([], 0)


def test_what_is_acknowledged_is_sent_once_and_in_order() -> None:
    """The usual case."""
    producer = FlakyProducer()
    load(producer).send(RECORDS)
    assert producer.kept == [record.value for record in RECORDS]


def test_only_what_failed_is_sent_again() -> None:
    """Twice, if need be."""
    producer = FlakyProducer(lambda tries, value: value in (b"v1", b"v3") and tries < 3)
    load(producer).send(RECORDS)
    assert producer.kept == [b"v0", b"v2", b"v4", b"v1", b"v3"]
    assert producer.tries == 3


def test_a_client_that_gave_up_is_replaced() -> None:
    """By one that gets all that was not acknowledged."""
    broken, healthy = FlakyProducer(), FlakyProducer()
    broken.broken = True
    load(broken, healthy).send(RECORDS)
    assert (broken.kept, broken.closed, healthy.closed) == ([], True, False)
    assert healthy.kept == [record.value for record in RECORDS]


def test_an_abandoned_load_gives_up_what_no_one_acknowledges() -> None:
    """A run that failed leaves no thread behind that sends for ever."""
    producer = FlakyProducer(lambda *_: True)
    abandoned = load(producer)
    abandoned.abandon()
    abandoned.send(RECORDS)
    assert producer.kept == []


def test_what_ends_the_thread_is_raised_to_whoever_looks() -> None:
    """Not lost in a thread."""

    class Broken:
        def opening(self) -> list[Record]:
            return []

        def chunk(self, _count: int) -> list[Record]:
            raise ZeroDivisionError

    traffic: Any = Broken()
    producer: Any = FlakyProducer()
    broken = Load(traffic, lambda: producer, 100.0, clock=lambda: 0.0, sleep=lambda _: None)
    broken.start()
    with pytest.raises(ZeroDivisionError):
        broken.stop()


class Counting:
    """A traffic of numbered records."""

    def __init__(self) -> None:
        self.bursts = 0

    def opening(self) -> list[Record]:
        return [Record("t", 0, b"k", b"opening")]

    def chunk(self, _count: int) -> list[Record]:
        return [Record("t", 0, b"k", b"chunk")]

    def burst(self) -> list[Record]:
        self.bursts += 1
        return [Record("t", 0, b"k", b"burst")] * 3


@pytest.fixture
def running() -> Iterator[tuple[Load, FlakyProducer]]:
    """A load that sends as fast as it can, until the test is over."""
    producer, traffic = FlakyProducer(), Counting()
    some: Any = traffic
    made: Any = producer
    load = Load(some, lambda: made, 100.0)
    load.start()
    yield load, producer
    load.stop()


def test_a_paused_load_sends_nothing_and_goes_on(running: tuple[Load, FlakyProducer]) -> None:
    """The opening comes first, and what was sent before the pause is acknowledged."""
    load, producer = running
    with load.paused():
        sent = len(producer.kept)
        assert producer.kept[0] == b"opening"
        assert load._resting.is_set()
    load.send_burst()
    assert len(producer.kept) > sent
    assert producer.kept.count(b"burst") == 3


def test_a_load_that_failed_says_so_instead_of_waiting() -> None:
    """Of a traffic that cannot be made."""
    nothing: Any = None
    failing = Load(nothing, FlakyProducer, 100.0)  # type: ignore[arg-type]
    failing.start()
    with pytest.raises(AttributeError), failing.paused(0.5):
        pass
