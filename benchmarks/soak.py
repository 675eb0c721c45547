"""Memory over time: worker and server under a steady load, and the slope of what they hold.

What is bounded is full before the clock starts, so that what grows afterwards is not the state:
every user has a full history, every item as many transitions as are kept, and the server knows as
many sessions and remembers as many users as it ever does. Answers wait a minute for their outcome,
not half an hour. Events are stamped with the time at which they are sent. The slope is a line
through the samples after the warm-up, with its standard error: below twice that, it is noise.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click
import httpx
import numpy as np
import psutil

from benchmarks.installation import installation
from benchmarks.steady_events import go, steady_events
from benchmarks.workload import encoded_events, produce_all
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from freshet.embedded.child import Child
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from serving.user_sessions import SESSIONS_KEPT
from serving.user_state import REMEMBERED_USERS

EVENTS_PER_USER = 60  # more than a history holds
JOIN_WINDOW_S = 60
SAMPLE_S = 1.0
PARTS = 10  # of the time, to see the shape
MIB = 1 << 20


@click.command()
@click.option("--minutes", default=30.0, help="How long to watch, warm-up included.")
@click.option("--rate", default=500, help="Events per second.")
@click.option("--requests-per-s", default=20, help="Recommendations asked for beside them.")
@click.option("--items", default=1_000, help="Items of the catalogue.")
@click.option("--users", default=SESSIONS_KEPT, help="With a history; some 20,000 of them act.")
@click.option("--warm-up", default=0.3, help="Part of the time that is not counted.")
def main(
    minutes: float, rate: int, requests_per_s: int, items: int, users: int, warm_up: float
) -> None:
    """Measure whether worker and server grow, on Apache Kafka."""
    seconds = int(minutes * 60)
    with ExitStack() as stack:
        place = stack.enter_context(installation(join_window_s=JOIN_WINDOW_S))
        settings = place.settings
        partitions = discover_partitions(settings)
        publish_tiny_bundle(Path(settings.models_dir), tiny_items(items))
        supervisor = place.start_worker()
        _fill(settings, partitions, items, users)
        server = place.start_server()
        _ask(server.url, range(min(users, REMEMBERED_USERS)))
        options = [
            part
            for name, value in {
                "partitions": partitions,
                "rate": rate,
                "seconds": seconds,
                "items": items,
                "start-ts-ms": _now_ms(),
                "every-ms": 1000 / rate,
            }.items()
            for part in (f"--{name}", str(value))
        ]
        producer = stack.enter_context(steady_events(settings.kafka_bootstrap, *options))
        watched = {"worker": _worker_of(supervisor), "server": psutil.Process(server.child.pid)}
        stop = threading.Event()
        turns = _by_schedule(requests_per_s, users, stop)
        asking = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        go(producer)
        asked = asking.submit(_ask, server.url, turns)
        times_s, held_bytes = _watch(watched, seconds)
        stop.set()
        answered = asked.result()
    figures: dict[str, object] = {
        "minutes": minutes,
        "rate": rate,
        "requests_per_s": requests_per_s,
        "answered": answered,
    }
    for name, held in held_bytes.items():
        figures |= _growth(name, times_s, held, after_s=warm_up * seconds)
    click.echo(json.dumps(figures | {"load_average": round(os.getloadavg()[0], 2)}))


def _fill(settings: Settings, partitions: int, items: int, users: int) -> None:
    """Offer the catalogue, give every user a full history, and wait until all is applied."""
    topics, bootstrap = Topics(settings.namespace), settings.kafka_bootstrap
    entries = tiny_items(items)
    ids = [item.item_id.encode() for item in entries]
    produce_all(bootstrap, topics.catalog, partitions, ids, [encode(item) for item in entries])
    n = users * EVENTS_PER_USER
    keys, values = encoded_events(
        n,
        users=users,
        items=items,
        seed=7,
        shares={"click": 0.7, "view": 0.3},
        start_ts_ms=_now_ms() - n,
        every_ms=1,
    )
    produce_all(bootstrap, topics.events, partitions, keys, values)
    with ProgressReader(settings, partitions) as progress:
        while not progress.drained():
            time.sleep(0.5)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _worker_of(supervisor: Child) -> psutil.Process:
    for process in psutil.Process(supervisor.pid).children(recursive=True):
        if "--alone" in process.cmdline():
            return process
    raise click.ClickException(f"the worker does not run\n{supervisor.log_tail()}")


def _by_schedule(requests_per_s: int, users: int, stop: threading.Event) -> Iterator[int]:
    """Yield every user in turn, each when it is time to."""
    start = time.monotonic()
    for number in itertools.count():
        if stop.wait(max(start + number / requests_per_s - time.monotonic(), 0)):
            return
        yield number % users


def _ask(url: str, users: Iterable[int]) -> int:
    """Ask for a list for each user, and return how many were answered."""
    answered = 0
    with httpx.Client(base_url=url, timeout=10) as client:
        for user in users:
            query = {"user": f"user-{user}", "impressions": "client"}
            answered += client.get("/v1/recommendations", params=query).is_success
    return answered


def _watch(
    watched: dict[str, psutil.Process], seconds: int
) -> tuple[list[float], dict[str, list[int]]]:
    """Return when it was looked, and the bytes that each process held then.

    Raises:
        ClickException: a process ended, and what follows would be another's memory.
    """
    times_s: list[float] = []
    held: dict[str, list[int]] = {name: [] for name in watched}
    start = time.monotonic()
    while (now_s := time.monotonic() - start) < seconds:
        times_s.append(now_s)
        for name, process in watched.items():
            try:
                held[name].append(process.memory_info().rss)
            except psutil.NoSuchProcess as error:
                raise click.ClickException(f"the {name} ended after {now_s:.0f} s") from error
        time.sleep(SAMPLE_S)
    return times_s, held


def _growth(
    name: str, times_s: list[float], held: list[int], *, after_s: float
) -> dict[str, float | list[float]]:
    """Return the slope of a line through the samples after the warm-up, MiB an hour.

    Beside it what was held in the middle of each tenth of the time, warm-up included.
    """
    counted = [row for row, at in enumerate(times_s) if at >= after_s]
    hours = np.array(times_s)[counted] / 3600
    mib = np.array(held)[counted] / MIB
    (slope, _), covariance = np.polyfit(hours, mib, 1, cov=True)
    tenths = [round(float(np.median(part)) / MIB, 1) for part in np.array_split(held, PARTS)]
    return {
        f"{name}_rss_mib": round(float(mib[-1]), 1),
        f"{name}_mib_by_tenth": tenths,
        f"{name}_mib_per_h": round(float(slope), 2),
        f"{name}_mib_per_h_error": round(float(np.sqrt(covariance[0, 0])), 2),
    }


if __name__ == "__main__":
    main()
