"""Several brokers of Apache Kafka on one machine, as one cluster."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.kafka_jars import java_command
from freshet.embedded.kafka_layout import plan_layout


class KafkaCluster:
    """Kafka brokers that keep each record three times, where there are three of them.

    Each of `brokers` can be killed, stopped, frozen and started again by itself; the methods here
    do it to all.

    Args:
        brokers: how many; None for as many as the folder holds, or one.
        folder: where configuration and data lie; a temporary one when None.
        properties: settings of each broker on top of ours.
        logs: folder of their logs, `kafka-<number>.log`; the folder itself when None.

    Raises:
        ServiceError: Java or the jars are missing, or a broker does not start.
        SettingError: the folder holds a cluster of another size.
    """

    def __init__(
        self,
        brokers: int | None = None,
        *,
        folder: Path | None = None,
        properties: dict[str, str] | None = None,
        logs: Path | None = None,
    ) -> None:
        java = java_command()  # first of all: without it, nothing is written down
        self._temporary = tempfile.TemporaryDirectory(prefix="freshet-kafka-")
        self.folder = folder or Path(self._temporary.name)
        layout = plan_layout(self.folder, brokers)
        self.bootstrap = layout.bootstrap
        self.brokers = [
            KafkaBroker(
                folder=self.folder / f"broker-{node.number}",
                properties=properties,
                log=(logs or self.folder) / f"kafka-{node.number}.log",
                layout=layout,
                number=node.number,
                java=java,
                start=False,
            )
            for node in layout.nodes
        ]
        self.start()

    def start(self) -> None:
        """Start all, or start them again, and wait until each serves."""
        with ExitStack() as undo:
            for broker in self.brokers:
                broker.launch()
                undo.callback(broker.kill)
            for broker in self.brokers:
                broker.wait_until_ready()
            undo.pop_all()

    def kill(self) -> None:
        """End all as a power cut would."""
        for broker in self.brokers:
            broker.kill()

    def stop(self) -> None:
        """End all in order; they may be started again."""
        for broker in self.brokers:  # together: the last one alone would wait for the others
            broker.terminate()
        for broker in self.brokers:
            broker.stop()

    def __enter__(self) -> KafkaCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()
