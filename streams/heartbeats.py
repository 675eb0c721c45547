"""Heartbeats: a record into each partition of the events in which nothing happens.

So how long a record takes into the state is known also while nobody does anything, and a worker
that hangs shows at once. The worker that has a partition sends them, because it is the one that
knows whether it stands still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from freshet.core.clock import Clock
from freshet.core.events.control import Heartbeat, encode_control
from freshet.core.events.producer import EventProducer, Record

log = logging.getLogger(__name__)


class IdlePartitions:
    """Tells which partitions have stood still from one look to the next."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._sent: set[int] = set()

    def look(self, positions: Mapping[int, int]) -> list[int]:
        """Return the partitions that are due for a heartbeat.

        Args:
            positions: next offset of each partition of this worker.
        """
        # The heartbeat that was sent at the last look moves a partition by one.
        due = [
            partition
            for partition, at in positions.items()
            if partition in self._seen and at - self._seen[partition] <= (partition in self._sent)
        ]
        self._seen, self._sent = dict(positions), set(due)
        return due


async def keep_heartbeats(
    producer: EventProducer,
    topic: str,
    positions: Callable[[], Mapping[int, int]],
    clock: Clock,
    *,
    every_s: float,
) -> None:
    """Send heartbeats into the idle partitions, again and again.

    Args:
        producer: the way to Kafka.
        topic: of the events.
        positions: returns the next offset of each partition of the topic that this worker has.
        clock: the time that a heartbeat carries.
        every_s: between two looks.
    """
    idle = IdlePartitions()
    while True:
        await asyncio.sleep(every_s)
        value = encode_control(Heartbeat(clock()))
        beats = [Record(topic, partition, None, value) for partition in idle.look(positions())]
        if failed := [why for why in await producer.deliver(beats, every_s) if why]:
            # Not this worker's end: whether the brokers are there is judged elsewhere.
            log.warning("%d heartbeats were not delivered: %s", len(failed), failed[0])
