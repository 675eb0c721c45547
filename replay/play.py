"""Plays a recorded log into a target: catalogue first, then the events, each when it is due.

Law: what was sent and what was applied are counted apart and must agree at the end; the order of
the log is kept. Whoever asks for the end gets it between two chunks: what was sent by then is kept
by the target, and its number is exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isinf
from typing import Protocol

from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.schema import Event, Item
from replay.pacing import Pacer
from replay.targets import Refusal, Target
from replay.timeline import Timeline

CHUNK_EVENTS = 1000
ITEMS_CHUNK = 2000
TICK_S = 0.05  # events due within one tick travel together
NAP_S = 0.2  # between two looks whether to stop, while nothing is due
CHECKPOINT_S = 1.0
REFUSALS_KEPT = 10


class Display(Protocol):
    """Shows a person how far the replay is."""

    def show(self, events: int, in_flight: int, ts_ms: int) -> None:
        """Show the events sent so far, how many are not applied yet, and the event time."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a replay came to.

    Attributes:
        events: events that were taken.
        items: catalogue entries that were taken.
        seconds: from the first event sent to the last one applied by all folds.
        done: events of the log that were dealt with, taken or refused.
        refused: how many events were not taken.
        refusals: the first of them; `at` is the place among the events that were played.
        refused_items: how many catalogue entries were not taken.
        stopped: whether it was asked to end before the end of the log.
    """

    events: int
    items: int
    seconds: float
    done: int = 0
    refused: int = 0
    refusals: Sequence[Refusal] = ()
    refused_items: int = 0
    stopped: bool = False

    @property
    def events_per_s(self) -> float:
        """Events a second, through all folds."""
        return self.events / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Course:
    """How far a replay has come."""

    done: int = 0
    items: int = 0
    refused: int = 0
    refused_items: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    stopped: bool = False
    kept_at_s: float = 0.0

    def note_refused(self, first: int, refused: Iterable[Refusal]) -> None:
        """Take refusals of a chunk that begins at this place."""
        for at, reason in refused:
            self.refused += 1
            if len(self.refusals) < REFUSALS_KEPT:
                self.refusals.append(Refusal(first + at, reason))


@dataclass(frozen=True, slots=True)
class Player:
    """Plays logs.

    Attributes:
        target: takes the events.
        pacer: holds back while the folds are behind.
        display: shows progress.
        clock: monotonic seconds.
        sleep: waits so many seconds.
        stop: returns whether to end.
        checkpoint: called with the number of events that are dealt with for good, about every
            `CHECKPOINT_S`, when the catalogue is published, and at the end; None for nobody.
    """

    target: Target
    pacer: Pacer
    display: Display
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    stop: Callable[[], bool] = lambda: False
    checkpoint: Callable[[int], None] | None = None

    def play(
        self,
        events: Iterable[Event],
        items: Sequence[Item] | None,
        *,
        speed: float,
        known: Iterable[str] = (),
    ) -> Played:
        """Play a log to its end and wait until all of it is in the state.

        Args:
            events: in the order of the log.
            items: the catalogue, published before the first event; None when there is none: then
                each item gets a bare entry when it is first seen.
            speed: times faster than it was lived; infinite = as fast as the folds take it.
            known: items that need no bare entry.

        Raises:
            ServiceError: something was not taken or not applied.
        """
        course = _Course()
        self._publish(items or (), course)
        if not self.stop():
            self._keep(course)
        started_s = self.clock()
        self._send_all(events, set(known) if items is None else None, speed, course)
        self.target.flush()
        self._keep(course)
        if not course.stopped:
            self.pacer.wait_until_drained(self.stop)
        return Played(
            course.done - course.refused,
            course.items,
            self.clock() - started_s,
            course.done,
            course.refused,
            course.refusals,
            course.refused_items,
            course.stopped,
        )

    def _send_all(
        self, events: Iterable[Event], known: set[str] | None, speed: float, course: _Course
    ) -> None:
        for chunk in self._due(iter(events), speed):
            if known is not None:
                self._put(_first_seen(chunk, known), course)
            self.pacer.wait_for_room(self.stop)
            if self.stop():
                course.stopped = True
                return
            sent = self.target.send(chunk)
            refused = {at for at, _ in sent.refused}
            taken = [event for at, event in enumerate(chunk) if at not in refused]
            users = murmur2_many([event.user_id.encode() for event in taken])
            partitions = partition_of_hash(users, len(self.pacer.sent))
            self.pacer.note_sent(partitions, sent.largest_bytes)
            course.note_refused(course.done, sent.refused)
            course.done += len(chunk)
            self.display.show(course.done, self.pacer.in_flight, chunk[-1].ts_ms)
            if self.checkpoint and self.clock() - course.kept_at_s >= CHECKPOINT_S:
                self.target.flush()
                self._keep(course)
        course.stopped = self.stop()

    def _keep(self, course: _Course) -> None:
        if self.checkpoint:
            self.checkpoint(course.done)
            course.kept_at_s = self.clock()

    def _publish(self, items: Sequence[Item], course: _Course) -> None:
        for first in range(0, len(items), ITEMS_CHUNK):
            if self.stop():
                return
            self._put(items[first : first + ITEMS_CHUNK], course)
            self.target.flush()
            self.pacer.wait_until_drained(self.stop)

    def _put(self, items: Sequence[Item], course: _Course) -> None:
        refused = self.target.put_items(items)
        course.items += len(items) - len(refused)
        course.refused_items += len(refused)

    def _due(self, events: Iterator[Event], speed: float) -> Iterator[list[Event]]:
        """Yield what is due, in chunks, waiting for it."""
        if isinf(speed):
            while not self.stop() and (chunk := list(islice(events, CHUNK_EVENTS))):
                yield chunk
            return
        first = next(events, None)
        if first is None:
            return
        timeline = Timeline(speed, first.ts_ms, self.clock())
        chunk, due_s = [first], timeline.started_s
        for event in events:
            event_due_s = timeline.due_s(event.ts_ms)
            if event_due_s > due_s + TICK_S or len(chunk) >= CHUNK_EVENTS:
                yield chunk
                chunk, due_s = [], max(event_due_s, due_s)
                self._sleep_until(due_s)
                if self.stop():
                    return
            chunk.append(event)
        yield chunk

    def _sleep_until(self, due_s: float) -> None:
        while (wait_s := due_s - self.clock()) > 0 and not self.stop():
            self.sleep(min(wait_s, NAP_S))


def _first_seen(events: Sequence[Event], known: set[str]) -> list[Item]:
    """Return bare entries for the items that were not known, and know them from now on."""
    found = {}
    for event in events:
        if event.item_id not in known:
            known.add(event.item_id)
            found[event.item_id] = Item(item_id=event.item_id, created_ts_ms=event.ts_ms)
    return list(found.values())
