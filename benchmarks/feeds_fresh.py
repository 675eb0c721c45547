"""Feeds and clicks: does every click reach its feed, and how late.

People who click at the same moment (a click of each in as few POSTs as there can be), thousands of
feeds with a steady rate of clicks, and a Redis that pauses now and then. A feed that lacks a click
`WAIT_S` after the last one that came to any feed will never have it, and is counted. Kafka, Redis,
worker, server and all the clients share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import numpy as np
import redis.asyncio
import uvloop

from benchmarks.feed_sockets import Feed, open_feeds
from benchmarks.installation import installation
from benchmarks.workload import produce_all
from freshet.core.descriptors import raise_descriptor_limit
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items
from serving.http.events import MAX_EVENTS

ITEMS: Final = 5_000
WAIT_S: Final = 30.0
LOOK_S: Final = 0.05
PAUSE_MS: Final = 60
PAUSE_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Case:
    """What is tried.

    Attributes:
        feeds: that are open, each of a user.
        clicks_per_s: at a steady rate; 0 for a click of each at once.
        seconds: of the steady rate.
        pauses: whether Redis pauses now and then.
    """

    feeds: int
    clicks_per_s: int = 0
    seconds: int = 0
    pauses: bool = False

    @property
    def name(self) -> str:
        """Its name in the figures."""
        if not self.clicks_per_s:
            return f"{self.feeds} at once"
        pauses = ", Redis pauses" if self.pauses else ""
        return f"{self.feeds} feeds, {self.clicks_per_s} clicks/s{pauses}"


CASES: Final = (
    Case(50), Case(100), Case(1_000), Case(20, 20, 10, pauses=True),
    Case(8_000, 50, 20), Case(8_000, 100, 20),
)  # fmt: skip
QUICK_CASES: Final = (Case(50), Case(200), Case(20, 20, 3, pauses=True), Case(500, 20, 5))


@click.command()
@click.option("--quick", is_flag=True, help="A small run: half a thousand feeds at most.")
def main(*, quick: bool) -> None:
    """Measure how late clicks are in the feeds, and count those that never come."""
    cases = QUICK_CASES if quick else CASES
    raise_descriptor_limit()  # also of the server, which inherits it
    with installation() as place:
        partitions = discover_partitions(place.settings)
        publish_tiny_bundle(Path(place.settings.models_dir), tiny_items(ITEMS))
        place.start_worker()
        _offer(place.settings, partitions)
        server = place.start_server()
        found = uvloop.run(_try_all(server.url, place.settings.redis_url, cases))
    figures: dict[str, Any] = {"cases": found}
    figures["never_updated"] = sum(each["never_updated"] for each in found.values())
    figures["load_average"] = os.getloadavg()[0]
    click.echo(json.dumps(figures))


def _offer(settings: Settings, partitions: int) -> None:
    entries = tiny_items(ITEMS)
    ids = [item.item_id.encode() for item in entries]
    topic = Topics(settings.namespace).catalog
    values = [encode(item) for item in entries]
    produce_all(settings.kafka_bootstrap, topic, partitions, ids, values)


async def _try_all(url: str, redis_url: str, cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    found = {}
    async with aiohttp.ClientSession(url) as session:
        await _wait_for_items(session)
        for number, case in enumerate(cases):
            found[case.name] = await _try(case, number, session, url, redis_url)
            click.echo(f"{case.name}: {found[case.name]}")
    return found


async def _wait_for_items(session: aiohttp.ClientSession) -> None:
    while True:
        async with session.get("/readyz") as response:
            if (await response.json()).get("items") == ITEMS:
                return
        await asyncio.sleep(0.2)


async def _try(
    case: Case, number: int, session: aiohttp.ClientSession, url: str, redis_url: str
) -> dict[str, Any]:
    feeds = await open_feeds(url, [f"case-{number}-user-{user}" for user in range(case.feeds)])
    pausing = asyncio.create_task(_pause(redis_url)) if case.pauses else None
    if case.clicks_per_s:
        await _click_on(case, session, feeds)
    else:
        posts = [feeds[start : start + MAX_EVENTS] for start in range(0, len(feeds), MAX_EVENTS)]
        await asyncio.gather(*(_click(session, some) for some in posts))
    if pausing is not None:
        pausing.cancel()
    late = await _wait_until_current(feeds)
    figures = _figures(feeds, late)
    for feed in feeds:
        feed.close()
    return figures


async def _click(session: aiohttp.ClientSession, feeds: Sequence[Feed]) -> None:
    """Send a click of each user in one POST."""
    for feed in feeds:
        feed.clicked()
    clicks = [
        {"type": "click", "user_id": feed.user, "item_id": f"item-{number % ITEMS}"}
        for number, feed in enumerate(feeds)
    ]
    async with session.post("/v1/events", json=clicks) as response:
        if response.status != 202:
            raise click.ClickException(f"{response.status}: {await response.text()}")


async def _click_on(case: Case, session: aiohttp.ClientSession, feeds: Sequence[Feed]) -> None:
    """Send clicks of users drawn by lot, by the schedule, whether or not others are answered."""
    clicks = case.clicks_per_s * case.seconds
    drawn = np.random.default_rng(1).integers(0, len(feeds), clicks).tolist()
    start_s = time.perf_counter()
    sending = []
    for number, user in enumerate(drawn):
        await asyncio.sleep(max(start_s + number / case.clicks_per_s - time.perf_counter(), 0))
        sending.append(asyncio.create_task(_click(session, [feeds[user]])))
    await asyncio.gather(*sending)


async def _pause(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        while True:
            await client.client_pause(PAUSE_MS, all=True)
            await asyncio.sleep(PAUSE_EVERY_S)


async def _wait_until_current(feeds: Sequence[Feed]) -> list[Feed]:
    """Return the feeds that are not current once no more of them become so."""
    late = [feed for feed in feeds if not feed.is_current]
    moved_s = time.perf_counter()
    while late and time.perf_counter() - moved_s < WAIT_S:
        await asyncio.sleep(LOOK_S)
        still_late = [feed for feed in late if not feed.is_current]
        if len(still_late) < len(late):
            late, moved_s = still_late, time.perf_counter()
    return late


def _figures(feeds: Sequence[Feed], late: Sequence[Feed]) -> dict[str, Any]:
    late_ms = 1000 * np.array([late_s for feed in feeds for late_s in feed.late_s])
    p50, p99, most = np.percentile(late_ms, [50, 99, 100]).round(1).tolist()
    return {
        "clicks_seen": len(late_ms),
        "never_updated": len(late),
        "late_p50_ms": p50,
        "late_p99_ms": p99,
        "late_max_ms": most,
    }


if __name__ == "__main__":
    main()
