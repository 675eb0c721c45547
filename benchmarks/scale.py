"""Events per second by workers and partitions, and who used the processor.

All workers have their partitions before the events come: they are stopped, the log is filled, and
the clock starts when they go on. Broker, Redis and all workers share the machine, so more workers
than it has room for cannot be faster. What tells the machine from the design is
`events_per_worker_cpu_s`: where it stays level, more cores mean more events.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import click
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from benchmarks.backlog import USERS, Process, Stage, fold_rate, running_worker, stage
from benchmarks.cpu import CpuMeter
from freshet.embedded.kafka import KafkaBroker

JOIN_S = 90.0
GREETING = USERS  # events that warm the workers up
REQUEST_S = 10.0


@click.command()
@click.option("--events", default=400_000, help="Events of a measurement.")
@click.option("--workers", type=int, multiple=True, default=(1, 2, 4))
@click.option("--partitions", type=int, multiple=True, default=(4, 16, 32))
def main(events: int, workers: tuple[int, ...], partitions: tuple[int, ...]) -> None:
    """Measure how the events per second grow with workers and partitions."""
    found = []
    with KafkaBroker() as kafka:
        for width in partitions:
            for count in workers:
                found.append(measure(kafka, count, width, events))
                click.echo(json.dumps(found[-1]))
    figures = {"events": events, "cores": os.cpu_count(), "runs": found}
    click.echo(json.dumps({**figures, "load_average": os.getloadavg()[0]}))


def measure(kafka: KafkaBroker, workers: int, partitions: int, events: int) -> dict[str, Any]:
    """Return the figures of some workers on topics of some partitions."""
    with ExitStack() as stack:
        place = stage(stack, kafka, f"scale-{workers}-{partitions}", partitions=partitions)
        processes = [stack.enter_context(running_worker(place.settings)) for _ in range(workers)]
        _wait_for_group(place, workers, processes)
        place.produce(GREETING, seed=1)
        fold_rate(processes, place.applied, GREETING)
        for process in processes:  # shorter than the session timeout, so they stay in the group
            process.send_signal(signal.SIGSTOP)
        place.produce(events, seed=2)
        pids = {f"worker-{number}": each.pid for number, each in enumerate(processes)}
        meter = CpuMeter(pids | {"redis": place.redis.child.pid, "kafka": kafka.child.pid})
        for process in processes:
            process.send_signal(signal.SIGCONT)
        began = time.monotonic()
        fold_rate(processes, place.applied, events + GREETING)
        span_s = time.monotonic() - began
        used = meter.seconds()
    worker_s = sum(used[name] for name in pids)
    return {
        "workers": workers,
        "partitions": partitions,
        "events_per_s": round(events / span_s),
        "events_per_worker_cpu_s": round(events / worker_s),
        "events_per_redis_cpu_s": round(events / used["redis"]),
        "busy_cores": {name: round(each / span_s, 2) for name, each in used.items()},
        "busy_cores_of_all": round(sum(used.values()) / span_s, 2),
    }


def _wait_for_group(place: Stage, workers: int, processes: Sequence[Process]) -> None:
    """Wait until every worker has partitions."""
    admin = AdminClient({"bootstrap.servers": place.settings.kafka_bootstrap, "log_level": 0})
    group = place.settings.namespace
    deadline = time.monotonic() + JOIN_S
    while not _is_complete(admin, group, workers):
        if time.monotonic() > deadline or any(each.poll() is not None for each in processes):
            raise click.ClickException(f"{workers} workers did not become a group")
        time.sleep(0.2)


def _is_complete(admin: AdminClient, group: str, workers: int) -> bool:
    try:
        found = admin.describe_consumer_groups([group], request_timeout=REQUEST_S)[group].result()
    except KafkaException:  # the first of them is still on its way
        return False
    assigned = [each for each in found.members if each.assignment.topic_partitions]
    return found.state == ConsumerGroupState.STABLE and len(assigned) == workers


if __name__ == "__main__":
    main()
