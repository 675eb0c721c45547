"""Recommendations under load: requests at a steady rate, with events beside them.

The catalogue is large, every answer ranks `candidates` of it, and every request is for a user with
a history. Requests leave by a schedule, whether or not the ones before them are answered, and
their latency counts from when they were due: a server that stalls cannot hide it. Kafka, Redis,
worker, server and both load generators share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import click
import numpy as np
import redis

from benchmarks.installation import installation
from benchmarks.steady_events import go, steady_events
from benchmarks.workload import encoded_events, produce_all
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.core.state.reader import StateReader
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

USERS = 20_000
HISTORY = {"click": 0.7, "view": 0.3}
WARM_UP_S = 5
EVENT_TICK_MS = 20  # the load beside the requests need not be smooth, and must cost little


@click.command()
@click.option("--items", default=100_000, help="Items of the catalogue.")
@click.option("--candidates", default=500, help="Candidates ranked for an answer.")
@click.option("--requests-per-s", default=100, help="Recommendations asked for.")
@click.option("--events-per-s", default=5_000, help="Events produced beside them.")
@click.option("--seconds", default=30, help="How long to measure, after a warm-up.")
def main(items: int, candidates: int, requests_per_s: int, events_per_s: int, seconds: int) -> None:
    """Measure the latency of `GET /v1/recommendations`."""
    with installation(candidates=candidates) as place:
        settings = place.settings
        partitions = discover_partitions(settings)
        publish_tiny_bundle(Path(settings.models_dir), tiny_items(items))
        place.start_worker()
        _fill(settings, partitions, items)
        server = place.start_server()
        load = {
            "partitions": partitions,
            "rate": events_per_s,
            "seconds": seconds + WARM_UP_S,
            "items": items,
            "tick-ms": EVENT_TICK_MS,
            "linger-ms": 2,
        }
        options = [part for name, value in load.items() for part in (f"--{name}", str(value))]
        with steady_events(settings.kafka_bootstrap, *options) as beside:
            go(beside)
            asyncio.run(_ask(server.url, requests_per_s, WARM_UP_S, seed=1))
            answers = asyncio.run(_ask(server.url, requests_per_s, seconds, seed=2))
    click.echo(json.dumps(_figures(answers, items, candidates, events_per_s, seconds)))


def _fill(settings: Settings, partitions: int, items: int) -> None:
    """Offer the catalogue and give every user a history, and wait until all is applied."""
    topics = Topics(settings.namespace)
    entries = tiny_items(items)
    ids = [item.item_id.encode() for item in entries]
    bootstrap = settings.kafka_bootstrap
    produce_all(bootstrap, topics.catalog, partitions, ids, [encode(item) for item in entries])
    n = USERS * 10
    keys, values = encoded_events(n, users=USERS, items=items, seed=7, shares=HISTORY)
    produce_all(bootstrap, topics.events, partitions, keys, values)
    reader = StateReader(redis.Redis.from_url(settings.redis_url), settings.namespace, partitions)
    expected = {"user": n, "item": n, "catalog": items}
    while expected:
        for side, count in list(expected.items()):
            positions = getattr(reader, f"{side}_positions")()
            if sum(position.get("applied", 0) for position in positions) >= count:
                del expected[side]
        time.sleep(0.2)


async def _ask(url: str, requests_per_s: int, seconds: int, seed: int) -> list[dict[str, Any]]:
    """Send requests by the schedule; return what came of each."""
    users = np.random.default_rng(seed).integers(0, USERS, requests_per_s * seconds)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        start = time.perf_counter() + 0.1
        tasks = []
        for number, user in enumerate(users.tolist()):
            due = start + number / requests_per_s
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(_request(session, url, user, due)))
        return await asyncio.gather(*tasks)


async def _request(
    session: aiohttp.ClientSession, url: str, user: int, due: float
) -> dict[str, Any]:
    parameters = {"user": f"user-{user}", "k": "20", "impressions": "client"}
    async with session.get(f"{url}/v1/recommendations", params=parameters) as response:
        body = await response.json()
        done = time.perf_counter()
    return {
        "ms": (done - due) * 1000,
        "done": done,
        "status": response.status,
        "quality": body.get("quality"),
        "took_ms": body.get("took_ms", 0.0),
    }


def _figures(
    answers: list[dict[str, Any]], items: int, candidates: int, events_per_s: int, seconds: int
) -> dict[str, Any]:
    ms = np.array([answer["ms"] for answer in answers])
    p50, p90, p99, p999 = np.percentile(ms, [50, 90, 99, 99.9]).round(2).tolist()
    good = [answer for answer in answers if answer["status"] == 200]
    span_s = max(answer["done"] for answer in answers) - min(answer["done"] for answer in answers)
    return {
        "items": items,
        "candidates": candidates,
        "events_per_s_beside": events_per_s,
        "seconds": seconds,
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "p999_ms": p999,
        "max_ms": round(float(ms.max()), 2),
        "took_p50_ms": round(float(np.median([answer["took_ms"] for answer in answers])), 2),
        "achieved_rps": round((len(good) - 1) / span_s, 1),
        "errors": len(answers) - len(good),
        "full_quality": round(sum(a["quality"] == "full" for a in good) / max(len(good), 1), 4),
        "load_average": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
