"""An item put into the catalogue to its first appearance in a list, over HTTP, on Apache Kafka.

Each new item has a category of its own, and lists of that category are asked for, again and again,
until it is in one. No vector of it is in the bundle: it comes by the source of new items.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path

import click
import httpx

from benchmarks.installation import installation
from benchmarks.workload import produce_all
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from online_models.artifacts.tiny import publish_tiny_bundle, tiny_items

TIMEOUT_S = 30.0


@click.command()
@click.option("--items", default=10_000, help="Of the catalogue before.")
@click.option("--new-items", default=100, help="Put one after the other.")
def main(items: int, new_items: int) -> None:
    """Measure how soon a new item is recommended."""
    with installation() as place:
        _offer(place.settings, items)
        place.start_worker()
        server = place.start_server()
        with httpx.Client(base_url=server.url) as client:
            waits_ms = sorted(1000 * _until_listed(client, f"new-{n}") for n in range(new_items))
    figures = {
        "items": items,
        "new_items": new_items,
        "new_item_p50_ms": round(statistics.median(waits_ms), 1),
        "new_item_p99_ms": round(waits_ms[int(0.99 * (new_items - 1))], 1),
        "new_item_max_ms": round(waits_ms[-1], 1),
        "load_average": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))


def _offer(settings: Settings, items: int) -> None:
    """Put the catalogue into its topic, and publish a bundle that knows it."""
    partitions = discover_partitions(settings)
    entries = tiny_items(items)
    publish_tiny_bundle(Path(settings.models_dir), entries)
    ids = [item.item_id.encode() for item in entries]
    topic = Topics(settings.namespace).catalog
    values = [encode(item) for item in entries]
    produce_all(settings.kafka_bootstrap, topic, partitions, ids, values)


def _until_listed(client: httpx.Client, item_id: str) -> float:
    """Put an item; return the seconds until a list holds it."""
    asked = {"user": "anybody", "k": "5", "categories": item_id, "impressions": "client"}
    started = time.perf_counter()
    client.put(f"/v1/items/{item_id}", json={"categories": [item_id]}).raise_for_status()
    while time.perf_counter() - started < TIMEOUT_S:
        answer = client.get("/v1/recommendations", params=asked)
        found = [item["item_id"] for item in answer.json().get("items", [])]
        if item_id in found:
            return time.perf_counter() - started
    raise click.ClickException(f"{item_id} is in no list within {TIMEOUT_S:g} s: {answer.text}")


if __name__ == "__main__":
    main()
