"""Events in Kafka to state in Redis: one worker, both folds counted, and what others make of it.

The events lie in the topic before the clock starts. It starts with the first event applied and
stops with the last; for the worker that is when user side and item side count them all. Broker,
Redis and worker share the machine. The peers fold the same kind of events, naively, in a plain
Faust agent, in Bytewax and in Quix Streams (`benchmarks/peers`); none of them is effectively once.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from typing import Any

import click

from benchmarks.backlog import fold_rate, running, running_worker, stage
from benchmarks.peers.environment import REQUIREMENTS, python_of
from benchmarks.peers.plain_fold import APPLIED_KEY
from freshet.embedded.kafka import KafkaBroker

PLAIN = "plain_faust"


@click.command()
@click.option("--broker", type=click.Choice(["kafka"]), default="kafka", help="Where the log is.")
@click.option("--events", default=400_000, help="Events of a round of the worker.")
@click.option("--plain-events", default=60_000, help="Events of a round of the plain agent.")
@click.option("--peer-events", default=200_000, help="Events of a round of each peer.")
@click.option("--rounds", default=3, help="Rounds of each, in turn; medians are printed.")
@click.option("--partitions", default=8, help="Of the topics, for the worker and its peers.")
@click.option("--peers/--no-peers", default=True, help="Bytewax and Quix Streams too.")
def main(
    broker: str,
    events: int,
    plain_events: int,
    peer_events: int,
    rounds: int,
    partitions: int,
    peers: bool,
) -> None:
    """Measure one worker against a plain Faust agent, Bytewax and Quix Streams."""
    python = {PLAIN: sys.executable}
    if peers:
        python |= {name: python_of(name) for name in REQUIREMENTS}
    ours, redis_us = [], []
    theirs: dict[str, list[float]] = {name: [] for name in python}
    with KafkaBroker() as kafka:
        for number in range(rounds):
            rate, redis_s = measure_worker(kafka, events, number, partitions)
            ours.append(rate)
            redis_us.append(redis_s / events * 1e6)
            for name, interpreter in python.items():
                count = plain_events if name == PLAIN else peer_events
                theirs[name].append(
                    measure_peer(kafka, name, interpreter, count, number, partitions)
                )
            shown = [f"{name} {rates[-1]:,.0f}/s" for name, rates in theirs.items()]
            click.echo(f"round {number + 1}: worker {rate:,.0f}/s, {', '.join(shown)}")
    figures = {
        "broker": broker,
        "events": events,
        "rounds": rounds,
        "partitions": partitions,
        **_rates("", ours),
        "redis_cpu_us_per_event": round(statistics.median(redis_us), 2),
    }
    for name, rates in theirs.items():
        ratios = [mine / other for mine, other in zip(ours, rates, strict=True)]
        ratio = "ratio" if name == PLAIN else f"{name}_ratio"
        figures |= _rates(f"{name}_", rates) | {ratio: round(statistics.median(ratios), 2)}
    click.echo(json.dumps({**figures, "load_average": os.getloadavg()[0]}))


def measure_worker(
    kafka: KafkaBroker, events: int, number: int, partitions: int
) -> tuple[float, float]:
    """Return the events per second of one worker, and the CPU seconds that Redis took."""
    with ExitStack() as stack:
        place = stage(stack, kafka, f"worker-{number}", partitions=partitions)
        place.produce(events, seed=number)
        with running_worker(place.settings) as process:
            rate = fold_rate([process], place.applied, events)
        cpu = place.client.info("cpu")
        return rate, cpu["used_cpu_user"] + cpu["used_cpu_sys"]


def measure_peer(
    kafka: KafkaBroker, name: str, python: str, events: int, number: int, partitions: int
) -> float:
    """Return the events per second of a peer.

    Args:
        kafka: holds the log.
        name: `plain_faust`, `bytewax` or `quix`.
        python: interpreter of its environment.
        events: how many.
        number: of the round.
        partitions: of its topics.
    """
    with ExitStack() as stack:
        place = stage(stack, kafka, f"{name.replace('_', '-')}-{number}", partitions=partitions)
        place.produce(events, seed=number)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = place.settings
        command = [python, "-m", f"benchmarks.peers.{name.removeprefix('plain_')}_peer"]
        command += [settings.kafka_bootstrap, settings.redis_url, place.events_topic]
        with running(command, {"FAUST_DATADIR": folder}) as process:
            return fold_rate([process], lambda: int(place.client.get(APPLIED_KEY) or 0), events)


def _rates(prefix: str, rates: list[float]) -> dict[str, Any]:
    return {
        f"{prefix}events_per_s": round(statistics.median(rates)),
        f"{prefix}events_per_s_rounds": [round(rate) for rate in rates],
    }


if __name__ == "__main__":
    main()
