"""Plays a recorded log into a target: catalogue first, then the events, each when it is due.

Law: what was sent and what was applied are counted apart and must agree at the end; the order of
the log is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isinf
from typing import Protocol

from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.schema import Event, Item
from replay.pacing import Pacer
from replay.targets import Target
from replay.timeline import Timeline

CHUNK_EVENTS = 1000
ITEMS_CHUNK = 2000
TICK_S = 0.05  # events due within one tick travel together


class Display(Protocol):
    """Shows a person how far the replay is."""

    def show(self, events: int, in_flight: int, ts_ms: int) -> None:
        """Show the events sent so far, how many are not applied yet, and the event time."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a replay came to.

    Attributes:
        seconds: from the first event sent to the last one applied by all folds.
    """

    events: int
    items: int
    seconds: float

    @property
    def events_per_s(self) -> float:
        """Events a second, through all folds."""
        return self.events / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Player:
    """Plays logs.

    Attributes:
        target: takes the events.
        pacer: holds back while the folds are behind.
        display: shows progress.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    target: Target
    pacer: Pacer
    display: Display
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def play(
        self, events: Iterable[Event], items: Sequence[Item] | None, *, speed: float
    ) -> Played:
        """Play a log to its end and wait until all of it is in the state.

        Args:
            events: in the order of the log.
            items: the catalogue, published before the first event; None when there is none: then
                each item gets a bare entry when it is first seen.
            speed: times faster than it was lived; infinite = as fast as the folds take it.

        Raises:
            ServiceError: something was not taken or not applied.
        """
        self._publish(items or ())
        started_s = self.clock()
        known: set[str] | None = None if items is not None else set()
        sent, ts_ms = 0, 0
        for chunk in self._due(iter(events), speed):
            if known is not None:
                self.target.put_items(_first_seen(chunk, known))
            self.pacer.wait_for_room()
            largest = self.target.send(chunk)
            users = murmur2_many([event.user_id.encode() for event in chunk])
            self.pacer.note_sent(partition_of_hash(users, len(self.pacer.sent)), largest)
            sent, ts_ms = sent + len(chunk), chunk[-1].ts_ms
            self.display.show(sent, self.pacer.in_flight, ts_ms)
        self.target.flush()
        self.pacer.wait_until_drained()
        self.display.show(sent, 0, ts_ms)
        published = len(items) if items is not None else len(known or ())
        return Played(sent, published, self.clock() - started_s)

    def _publish(self, items: Sequence[Item]) -> None:
        for first in range(0, len(items), ITEMS_CHUNK):
            self.target.put_items(items[first : first + ITEMS_CHUNK])
            self.target.flush()
            self.pacer.wait_until_drained()

    def _due(self, events: Iterator[Event], speed: float) -> Iterator[list[Event]]:
        """Yield what is due, in chunks, waiting for it."""
        if isinf(speed):
            while chunk := list(islice(events, CHUNK_EVENTS)):
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
            chunk.append(event)
        yield chunk

    def _sleep_until(self, due_s: float) -> None:
        wait_s = due_s - self.clock()
        if wait_s > 0:
            self.sleep(wait_s)


def _first_seen(events: Sequence[Event], known: set[str]) -> list[Item]:
    """Return bare entries for the items that were not known, and know them from now on."""
    found = {}
    for event in events:
        if event.item_id not in known:
            known.add(event.item_id)
            found[event.item_id] = Item(item_id=event.item_id, created_ts_ms=event.ts_ms)
    return list(found.values())
