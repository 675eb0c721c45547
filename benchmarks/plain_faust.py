"""The simpler way: a plain Faust agent, `take()` and one Redis pipeline per batch.

What a careful engineer writes first: JSON records decoded by Faust, a batch of events, the same
state (history, counts, item counters, trending, transitions, positions of none) in Redis' own
types. It is at least once at best. `benchmarks.ingest` runs it beside the worker.
"""

from __future__ import annotations

import sys
from typing import Any

import faust
import redis.asyncio as redis

APPLIED_KEY = "plain:applied"
BATCH = 500
TREND_BUCKET_MS = 75_000
VISITS = {"click", "view", "cart", "purchase", "rating"}


class EventRecord(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """An event as Faust decodes it."""

    event_id: str
    type: str
    user_id: str
    item_id: str
    ts_ms: int
    session_id: str = ""


def create_app(bootstrap: str, redis_url: str, topic_name: str) -> Any:
    """Return the app; it reads the topic from its start."""
    app = faust.App(
        "plain",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=4096,
    )
    client = redis.Redis.from_url(redis_url)
    last_visit: dict[str, str] = {}

    @app.agent(app.topic(topic_name, value_type=EventRecord))
    async def fold(stream: Any) -> None:
        async for events in stream.take(BATCH, within=0.05):
            pipe = client.pipeline(transaction=False)
            for event in events:
                _fold_event(pipe, event, last_visit)
            pipe.incrby(APPLIED_KEY, len(events))
            await pipe.execute()

    return app


def _fold_event(pipe: Any, event: EventRecord, last_visit: dict[str, str]) -> None:
    user, item = f"plain:u:{event.user_id}", f"plain:i:{event.item_id}"
    pipe.hincrby(user, event.type, 1)
    pipe.hincrby(item, event.type, 1)
    if event.type == "impression":
        return
    pipe.lpush(f"{user}:history", f"{event.item_id} {event.type} {event.ts_ms}")
    pipe.ltrim(f"{user}:history", 0, 49)
    pipe.zincrby(f"plain:trend:{event.ts_ms // TREND_BUCKET_MS}", 1, event.item_id)
    if event.type in VISITS:
        previous = last_visit.get(event.user_id)
        if previous is not None:
            pipe.zincrby(f"plain:next:{previous}", 1, event.item_id)
        last_visit[event.user_id] = event.item_id


if __name__ == "__main__":
    application = create_app(*sys.argv[1:4])
    sys.argv[1:] = ["worker", "--without-web", "-l", "error"]
    application.main()
