"""A Kafka broker without Java: the one inside librdkafka, as a process of its own.

It speaks the real protocol (groups, commits, fetch, idempotent producers) and creates a topic with
`PARTITIONS` partitions when it is first named. It lives in memory: `PARTITION_BYTES` per
partition, the oldest records dropped in silence, everything gone when it ends. Producers must
therefore be paced by the consumers' position, which `replay.pacing` does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from confluent_kafka.admin import AdminClient

from freshet.embedded.child import Child

PARTITIONS = 4  # librdkafka's default, which cannot be configured
PARTITION_BYTES = 5 * 1024 * 1024
START_TIMEOUT_S = 15.0


class EmbeddedBroker:
    """The in-process broker in a child process.

    Args:
        log: where its output goes; a file in a temporary folder when None.
    """

    def __init__(self, *, log: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-broker-")
        bootstrap_file = Path(self._folder.name) / "bootstrap"
        self.child = Child(
            "embedded broker",
            [sys.executable, "-m", __name__, "--bootstrap-file", str(bootstrap_file)],
            log=log or Path(self._folder.name) / "broker.log",
        )
        try:
            self.child.wait_until_ready(bootstrap_file.exists, START_TIMEOUT_S)
            self.bootstrap = bootstrap_file.read_text()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker; its records are gone."""
        self.child.stop()
        self._folder.cleanup()

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(bootstrap_file: Path) -> None:
    """Run the broker until SIGTERM or SIGINT; write its host:port to the file once it listens."""
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    client = AdminClient({"test.mock.num.brokers": 1})
    (broker,) = client.list_topics(timeout=START_TIMEOUT_S).brokers.values()
    staged = bootstrap_file.with_suffix(".part")
    staged.write_text(f"{broker.host}:{broker.port}")
    os.replace(staged, bootstrap_file)  # whoever sees the file sees all of it
    signal.sigwait(ending)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap-file", type=Path, required=True)
    serve(parser.parse_args().bootstrap_file)


if __name__ == "__main__":
    main()
