"""The naive fold as a Quix Streams application: a batching sink, a Redis pipeline per chunk.

`python -m benchmarks.peers.quix_peer BOOTSTRAP REDIS_URL TOPIC`, with the Python of an environment
that has Quix Streams; see `benchmarks.peers.environment`.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from benchmarks.peers.plain_fold import APPLIED_KEY, fold_json

CHUNK = 1000  # events of a pipeline
COMMIT_EVERY = 10_000  # events of a checkpoint, when the sink is flushed


def create_app(bootstrap: str, redis_url: str, topic: str, state_dir: str) -> Any:
    """Return the application; it reads the topic from its start."""
    import redis
    from quixstreams import Application
    from quixstreams.sinks import BatchingSink, SinkBatch

    class RedisSink(BatchingSink):
        """Writes the batch of a partition in chunks."""

        def __init__(self) -> None:
            super().__init__()
            self._client = redis.Redis.from_url(redis_url)
            self._last_visit: dict[str, str] = {}

        def write(self, batch: SinkBatch) -> None:
            """Fold the events of one partition and wait until Redis has them."""
            for chunk in batch.iter_chunks(n=CHUNK):
                pipe = self._client.pipeline(transaction=False)
                count = 0
                for item in chunk:
                    fold_json(pipe, item.value, self._last_visit)
                    count += 1
                pipe.incrby(APPLIED_KEY, count)
                pipe.execute()

    app = Application(
        broker_address=bootstrap,
        consumer_group="plain",
        auto_offset_reset="earliest",
        commit_every=COMMIT_EVERY,
        commit_interval=1.0,
        auto_create_topics=False,
        use_changelog_topics=False,
        state_dir=state_dir,
        loglevel="ERROR",
    )
    app.dataframe(app.topic(topic, value_deserializer="json")).sink(RedisSink())
    return app


def main(bootstrap: str, redis_url: str, topic: str) -> None:
    """Run the application until the process is ended."""
    with tempfile.TemporaryDirectory() as folder:
        create_app(bootstrap, redis_url, topic, folder).run()


if __name__ == "__main__":
    main(*sys.argv[1:4])
