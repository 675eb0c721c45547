"""The naive fold as a plain Faust agent: JSON records, `take()`, one Redis pipeline per batch.

`python -m benchmarks.peers.faust_peer BOOTSTRAP REDIS_URL TOPIC`
"""

from __future__ import annotations

import sys
from typing import Any

import faust
import redis.asyncio as redis

from benchmarks.peers.plain_fold import APPLIED_KEY, fold_event

BATCH = 500


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
                fold_event(pipe, event.type, event.user_id, event.item_id, event.ts_ms, last_visit)
            pipe.incrby(APPLIED_KEY, len(events))
            await pipe.execute()

    return app


if __name__ == "__main__":
    application = create_app(*sys.argv[1:4])
    sys.argv[1:] = ["worker", "--without-web", "-l", "error"]
    application.main()
