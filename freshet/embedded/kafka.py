"""A broker of Apache Kafka from its jars, for development, tests and anything durable.

Topics are not created by being named, as on a cluster that is run with care.
"""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from freshet.core.errors import ServiceError
from freshet.core.events.client import client_options
from freshet.embedded.child import POLL_S, Child
from freshet.embedded.kafka_jars import java_command
from freshet.embedded.kafka_layout import ClusterLayout, plan_layout

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0


class KafkaBroker:
    """A Kafka broker in a child process, on loopback ports.

    It can be killed, stopped, frozen and started again: address and data stay.

    Args:
        folder: where its configuration, data and log lie; a temporary one when None.
        properties: settings of the broker on top of ours.
        log: where its output goes; a file in the folder when None.
        layout: the cluster that it belongs to; one of its own when None.
        number: its node id in the layout.
        java: see `java_command`, which is asked when it is None.
        start: whether to start it, and wait until it serves.

    Raises:
        ServiceError: Java or the jars are missing, or it does not start.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        properties: dict[str, str] | None = None,
        log: Path | None = None,
        layout: ClusterLayout | None = None,
        number: int = 1,
        java: Sequence[str] | None = None,
        start: bool = True,
    ) -> None:
        self._java = list(java or java_command())
        self._temporary = tempfile.TemporaryDirectory(prefix="freshet-kafka-")
        self.folder = folder or Path(self._temporary.name)
        self.data = self.folder.absolute() / "data"
        self.log = log or self.folder / "kafka.log"
        layout = layout or plan_layout(self.folder, 1)
        self.number = number
        self.bootstrap = layout.nodes[number - 1].address
        self._properties_file = self.folder / "server.properties"
        settings = layout.properties(number, self.data) | (properties or {})
        self.folder.mkdir(parents=True, exist_ok=True)
        self._properties_file.write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items())
        )
        if (self.data / "meta.properties").exists():
            self._wait_for_data()
        else:
            self._format(layout.id)
        if start:
            self.start()

    def start(self) -> None:
        """Start it, or start it again, and wait until it serves."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it without waiting: a broker of several serves once most of them are there."""
        command = [*self._java, "kafka.Kafka", str(self._properties_file)]
        self.child = Child(f"kafka {self.number}", command, log=self.log)

    def wait_until_ready(self) -> None:
        """Wait until it serves.

        Raises:
            ServiceError: it ended, or does not serve in time.
        """
        try:
            self.child.wait_until_ready(self._serves, START_TIMEOUT_S)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a crash would; what it acknowledged is on disk or in the page cache."""
        self.child.kill()

    def freeze(self) -> None:
        """Take the processor from it: connections stay open, and nobody answers."""
        self.child.freeze()

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        self.child.thaw()

    def terminate(self) -> None:
        """Ask it to end, without waiting; one that is frozen goes on first."""
        self.child.process.terminate()
        self.thaw()

    def stop(self) -> None:
        """End it in order; it may be started again."""
        self.terminate()
        self.child.stop(STOP_TIMEOUT_S)

    def _format(self, cluster_id: str) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        # With its equals sign: one id in 64 begins with a dash, which would be taken for an option.
        command += [f"--cluster-id={cluster_id}", "-c", str(self._properties_file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError("kafka", f"could not format its storage\n{done.stdout}{done.stderr}")

    def _wait_for_data(self) -> None:
        """Wait for the lock of the data: whoever used them last may still be about to end.

        Raises:
            ServiceError: it is in use for longer than a stop takes.
        """
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while not _is_unlocked(self.data / ".lock"):
            if time.monotonic() > deadline:
                raise ServiceError(
                    "kafka",
                    f"{self.data} is in use by another Kafka broker; end that one, or start this "
                    "one in another folder",
                )
            time.sleep(POLL_S)

    def _serves(self) -> bool:
        """Return whether the cluster counts it among its live brokers."""
        try:
            client = AdminClient(client_options(self.bootstrap) | {"log_level": 0})
            return self.number in client.list_topics(timeout=1.0).brokers
        except KafkaException:
            return False

    def __enter__(self) -> KafkaBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._temporary.cleanup()


def _is_unlocked(file: Path) -> bool:
    """Return whether no process holds a lock on a file."""
    try:
        with file.open("r+b") as opened:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
