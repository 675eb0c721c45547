"""Produces events at a steady rate for some time: an open loop, whoever reads them.

Everything is encoded before the clock starts. The process says `ready`, waits for a line on its
input, and sends by the schedule, whether or not anyone keeps up; it can leave the times behind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import EVENT_EVERY_MS, START_TS_MS, encoded_events
from freshet.core.events.partition import murmur2_many, partition_of_hash
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics

USERS = 20_000


@dataclass(frozen=True, slots=True)
class SentTimes:
    """When each event was due and when it was sent, monotonic seconds of the machine.

    Attributes:
        due_s: (n,) by the schedule; NaN for an event that was not sent.
        sent_s: (n,) when the client took it.
    """

    due_s: NDArray[np.float64]
    sent_s: NDArray[np.float64]


@click.command()
@click.argument("bootstrap")
@click.option("--namespace", default="bench")
@click.option("--partitions", required=True, type=int)
@click.option("--rate", required=True, type=int, help="Events per second.")
@click.option("--seconds", required=True, type=int)
@click.option("--items", default=10_000, help="Of the catalogue.")
@click.option("--seed", default=99)
@click.option("--start-ts-ms", default=START_TS_MS, help="Event time of the first event.")
@click.option("--every-ms", default=float(EVENT_EVERY_MS), help="Event time between two events.")
@click.option("--linger-ms", default=5.0, help="As Kafka's own producer.")
@click.option("--tick-ms", default=2.0, help="Between two looks at the schedule.")
@click.option("--skip-partition", default=-1, help="Events of this partition are not sent.")
@click.option("--times", type=click.Path(path_type=Path), help="File to leave the times in.")
def main(
    bootstrap: str,
    namespace: str,
    partitions: int,
    rate: int,
    seconds: int,
    items: int,
    seed: int,
    start_ts_ms: int,
    every_ms: float,
    linger_ms: float,
    tick_ms: float,
    skip_partition: int,
    times: Path | None,
) -> None:
    """Produce to the topic of events of a namespace."""
    n = rate * seconds
    keys, values = encoded_events(
        n, users=USERS, items=items, seed=seed, start_ts_ms=start_ts_ms, every_ms=every_ms
    )
    where = partition_of_hash(murmur2_many(keys), partitions).tolist()
    producer = EventProducer(bootstrap, linger_ms=linger_ms)
    topic = Topics(namespace).events
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.monotonic()
    sent_s = np.full(n, np.nan)
    first = 0
    while first < n:
        now = time.monotonic()
        last = min(int((now - start) * rate) + 1, n)
        for row in range(first, last):
            if where[row] != skip_partition:
                producer.send(topic, where[row], values[row], key=keys[row])
        sent_s[first:last] = time.monotonic()
        first = last
        time.sleep(max(now + tick_ms / 1000 - time.monotonic(), 0))
    producer.flush()
    producer.close()
    if times:
        skipped = np.array(where) == skip_partition
        due_s = np.where(skipped, np.nan, start + np.arange(n) / rate)
        np.savez(times, due_s=due_s, sent_s=sent_s)


@contextmanager
def steady_events(bootstrap: str, *options: str) -> Iterator[Popen[str]]:
    """Run the producer in a process of its own, ready to go; see `go`."""
    command = [sys.executable, "-m", "benchmarks.steady_events", bootstrap, *options]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise click.ClickException("the producer of events did not start")
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.terminate()


def go(process: Popen[str]) -> None:
    """Start the schedule."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def read_times(file: Path) -> SentTimes:
    """Return what a producer that has ended left behind."""
    with np.load(file) as found:
        return SentTimes(found["due_s"], found["sent_s"])


if __name__ == "__main__":
    main()
