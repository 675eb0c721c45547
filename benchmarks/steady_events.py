"""Produces events at a steady rate for some time: the load beside another measurement."""

from __future__ import annotations

import sys
import time

from benchmarks.workload import encoded_events
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics

TICKS_PER_S = 50


def main(bootstrap: str, partitions: int, events_per_s: int, seconds: int, items: int) -> None:
    """Produce to the topic of events of the namespace `bench`, a little every 20 ms."""
    n = events_per_s * seconds
    keys, values = encoded_events(n, users=20_000, items=items, seed=99)
    where = partition_of_hash(murmur2_many(keys), partitions).tolist()
    producer = EventProducer(bootstrap, linger_ms=2)
    topic = Topics("bench").events
    start = time.perf_counter()
    for tick in range(seconds * TICKS_PER_S):
        time.sleep(max(start + tick / TICKS_PER_S - time.perf_counter(), 0))
        first, last = n * tick // (seconds * TICKS_PER_S), n * (tick + 1) // (seconds * TICKS_PER_S)
        for row in range(first, last):
            producer.send(topic, where[row], values[row], key=keys[row])
    producer.flush()
    producer.close()


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:6]))
