"""Event produced to readable in Redis, on Apache Kafka, with an open loop of events.

The user side has an event when the user's record contains it; the item side, when every row that
the event made there is in: its item's counter and the transitions that it ends. All events count,
from when they were *due*: a producer that is held up cannot hide it. A part of the figure is the
producer's own: it looks at its schedule every 2 ms and lets records wait `--linger-ms` for
company. Producer, Kafka, Redis, worker and observer share the machine.

With `--backlog` a second run follows: one partition has a backlog while the events go to the
others, and what counts is how fresh those are until the backlog is gone.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.backlog import ITEMS, USERS, Stage, running_worker, stage
from benchmarks.cpu import CpuMeter
from benchmarks.event_latency import Logs, Offsets, Run, follow_events, percentiles
from benchmarks.observer import Observer, Seen
from benchmarks.steady_events import go, read_times, steady_events
from benchmarks.workload import (
    EVENT_EVERY_MS,
    START_TS_MS,
    encoded_events,
    produce_all,
    users_of,
)
from freshet.core.progress import ProgressReader
from freshet.embedded.kafka import KafkaBroker

WARM_UP_S = 5
DRAIN_S = 120.0
GREETING = 5_000
BACKLOG_PARTITION = 0


@dataclass(slots=True)
class Bench:
    """The installation under measurement, and how much it has been given so far.

    Attributes:
        seed: of the last run.
        next_ts_ms: event time of the next event.
    """

    place: Stage
    progress: ProgressReader
    folder: Path
    poll_ms: float
    linger_ms: float
    pids: dict[str, int]
    seed: int = 100
    next_ts_ms: int = START_TS_MS

    def options(self, rate: int, seconds: int) -> list[str]:
        """Return the options of the producer of the next run."""
        self.seed += 1
        options = {
            "namespace": self.place.settings.namespace,
            "partitions": self.place.partitions,
            "rate": rate,
            "seconds": seconds,
            "items": ITEMS,
            "seed": self.seed,
            "start-ts-ms": self.next_ts_ms,
            "linger-ms": self.linger_ms,
            "times": self._times,
        }
        self.next_ts_ms += rate * seconds * EVENT_EVERY_MS
        return [part for name, value in options.items() for part in (f"--{name}", str(value))]

    def produce(self, events: int, user_ids: list[str] | None = None) -> None:
        """Put events into the log at once."""
        self.seed += 1
        keys, values = encoded_events(
            events,
            users=USERS,
            items=ITEMS,
            seed=self.seed,
            start_ts_ms=self.next_ts_ms,
            user_ids=user_ids,
        )
        self.next_ts_ms += events * EVENT_EVERY_MS
        place = self.place
        bootstrap = place.settings.kafka_bootstrap
        produce_all(bootstrap, place.events_topic, place.partitions, keys, values)

    def observer(self) -> Observer:
        """Return an observer of the positions."""
        settings = self.place.settings
        return Observer(
            settings.redis_url, settings.namespace, self.place.partitions, every_ms=self.poll_ms
        )

    def ends(self) -> tuple[Offsets, Offsets]:
        """Return the ends of the events and of the item deltas."""
        return self.progress.read("users").ends, self.progress.read("items").ends

    def wait_until_drained(self) -> None:
        """Wait until all that is in the logs is in the state."""
        deadline = time.monotonic() + DRAIN_S
        while not self.progress.drained():
            if time.monotonic() > deadline:
                raise click.ClickException(f"the worker has not caught up within {DRAIN_S:.0f} s")
            time.sleep(0.2)

    def run_since(self, starts: tuple[Offsets, Offsets], seen: Seen) -> Run:
        """Return what became of the events of the last run; it began at `starts`."""
        ends = self.ends()
        logs = Logs(self.place.settings, (starts[0], ends[0]), (starts[1], ends[1]))
        return follow_events(logs, seen, read_times(self._times), self.seed)

    @property
    def _times(self) -> Path:
        return self.folder / f"{self.seed}.npz"


@click.command()
@click.option("--rate", "rates", type=int, multiple=True, default=(10_000,), help="Events/s.")
@click.option("--seconds", default=30, help="How long to measure, after a warm-up.")
@click.option("--backlog", is_flag=False, flag_value=500_000, default=0, help="Events of it.")
@click.option("--poll-ms", default=2.0, help="Between two looks of the observer.")
@click.option("--linger-ms", default=5.0, help="Of the producer; 5 as Kafka's own.")
def main(
    rates: tuple[int, ...], seconds: int, backlog: int, poll_ms: float, linger_ms: float
) -> None:
    """Measure how long after it was produced an event is readable."""
    with ExitStack() as stack:
        bench = _start(stack, poll_ms, linger_ms)
        with running_worker(bench.place.settings) as worker:
            bench.pids["worker"] = worker.pid
            bench.produce(GREETING)
            bench.wait_until_drained()
            found = {str(rate): measure_rate(bench, rate, seconds) for rate in rates}
        figures: dict[str, Any] = {
            "rates": found,
            "seconds": seconds,
            "linger_ms": linger_ms,
            "partitions": bench.place.partitions,
        }
        figures |= {name: found[str(rates[0])][name] for name in ("user_p99_ms", "item_p99_ms")}
        if backlog:
            figures["backlog"] = measure_backlog(bench, backlog, rates[0], seconds)
    click.echo(json.dumps(figures))


def measure_rate(bench: Bench, rate: int, seconds: int) -> dict[str, Any]:
    """Return the figures of one rate."""
    starts = bench.ends()
    options = bench.options(rate, seconds + WARM_UP_S)
    with steady_events(bench.place.settings.kafka_bootstrap, *options) as producer:
        meter = CpuMeter(bench.pids)
        with bench.observer() as observer:
            go(producer)
            producer.wait()
            cores = meter.cores()
            bench.wait_until_drained()
    seen = observer.seen()
    run = bench.run_since(starts, seen)
    counted = np.arange(len(run.due_s)) >= rate * WARM_UP_S
    figures = {
        **percentiles("user", run.user_s - run.due_s, counted),
        **percentiles("item", run.item_s - run.due_s, counted),
        "achieved_rate": round((len(run.sent_s) - 1) / float(run.sent_s[-1] - run.sent_s[0])),
        **percentiles("sent_late", run.sent_s - run.due_s, counted),
        "drained_after_s": round(float(np.nanmax(run.item_s) - run.sent_s[-1]), 2),
        "resolution_ms": round(seen.resolution_ms, 2),
        "busy_cores": cores,
        "load_average": os.getloadavg()[0],
    }
    click.echo(f"{rate} events/s: {figures}")
    return figures


def measure_backlog(bench: Bench, events: int, rate: int, seconds: int) -> dict[str, Any]:
    """Return how fresh the other partitions are while one has a backlog."""
    place = bench.place
    bench.produce(events, users_of(BACKLOG_PARTITION, place.partitions, USERS))
    starts = bench.ends()
    end = int(starts[0][BACKLOG_PARTITION])
    options = [*bench.options(rate, seconds), "--skip-partition", str(BACKLOG_PARTITION)]
    with (
        steady_events(place.settings.kafka_bootstrap, *options) as producer,
        running_worker(place.settings),
        bench.observer() as observer,
    ):
        begin = int(observer.look()[BACKLOG_PARTITION])
        while observer.look()[BACKLOG_PARTITION] == begin:  # the worker has no partitions yet
            time.sleep(0.05)
        go(producer)
        producer.wait()
        bench.wait_until_drained()
    seen = observer.seen()
    run = bench.run_since(starts, seen)
    series = seen.users[:, BACKLOG_PARTITION]
    first, last = np.searchsorted(series, [begin + 1, end])
    span_s = float(seen.at_s[last] - seen.at_s[first])
    counted = run.due_s <= seen.at_s[last]
    figures = {
        "events": events,
        "backlog_s": round(span_s, 2),
        "backlog_events_per_s": round((end - int(series[first])) / span_s),
        "fresh_rate": round(rate * (1 - 1 / place.partitions)),
        "fresh_events": int(counted.sum()),
        **percentiles("fresh_user", run.user_s - run.due_s, counted),
        **percentiles("fresh_item", run.item_s - run.due_s, counted),
        "load_average": os.getloadavg()[0],
    }
    click.echo(f"beside a backlog: {figures}")
    return figures


def _start(stack: ExitStack, poll_ms: float, linger_ms: float) -> Bench:
    """Start Kafka and Redis, and make a bundle and the topics."""
    kafka = stack.enter_context(KafkaBroker())
    place = stage(stack, kafka, "bench")
    progress = stack.enter_context(ProgressReader(place.settings, place.partitions))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    pids = {"kafka": kafka.child.pid, "redis": place.redis.child.pid}
    return Bench(place, progress, folder, poll_ms, linger_ms, pids)


if __name__ == "__main__":
    main()
