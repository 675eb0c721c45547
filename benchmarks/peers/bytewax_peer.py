"""The naive fold as a Bytewax dataflow: batches of the source go to a sink with a pipeline each.

`python -m benchmarks.peers.bytewax_peer BOOTSTRAP REDIS_URL TOPIC`, with the Python of an
environment that has Bytewax; see `benchmarks.peers.environment`.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.peers.plain_fold import APPLIED_KEY, fold_json

BATCH = 1000


def create_flow(bootstrap: str, redis_url: str, topic: str) -> Any:
    """Return the dataflow; it reads the topic from its start."""
    import bytewax.operators as op
    import orjson
    import redis
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.outputs import DynamicSink, StatelessSinkPartition

    class RedisPartition(StatelessSinkPartition):
        """Writes what the source fetched together."""

        def __init__(self) -> None:
            self._client = redis.Redis.from_url(redis_url)
            self._last_visit: dict[str, str] = {}

        def write_batch(self, items: list[Any]) -> None:
            """Fold a batch and wait until Redis has it."""
            pipe = self._client.pipeline(transaction=False)
            for message in items:
                fold_json(pipe, orjson.loads(message.value), self._last_visit)
            pipe.incrby(APPLIED_KEY, len(items))
            pipe.execute()

    class RedisSink(DynamicSink):
        """One partition of the sink per worker."""

        def build(self, _step_id: str, _worker: int, _workers: int) -> RedisPartition:
            """Return the part of this worker."""
            return RedisPartition()

    flow = Dataflow("plain")
    source = KafkaSource([bootstrap], [topic], batch_size=BATCH)
    op.output("redis", op.input("kafka", flow, source), RedisSink())
    return flow


def main(bootstrap: str, redis_url: str, topic: str) -> None:
    """Run the dataflow until the process is ended."""
    from bytewax.run import cli_main

    cli_main(create_flow(bootstrap, redis_url, topic))


if __name__ == "__main__":
    main(*sys.argv[1:4])
