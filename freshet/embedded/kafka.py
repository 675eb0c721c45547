"""Apache Kafka as one KRaft broker from its jars, for tests and for anything durable.

Topics are not created by being named, as on a cluster that is run with care.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from freshet.core.errors import ServiceError
from freshet.embedded.child import Child
from freshet.embedded.kafka_jars import find_java, resolve_jars

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
HEAP = "-Xmx512m"


class KafkaBroker:
    """A Kafka broker in a child process, on free loopback ports.

    It can be killed and started again: address and data stay.

    Args:
        folder: where its configuration, data and log lie; a temporary one when None.
        properties: settings of the broker on top of ours.
        log: where its output goes; a file in the folder when None.

    Raises:
        ServiceError: Java or the jars are missing, or it does not start.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        properties: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._java = find_java()
        self._classpath = f"{resolve_jars()}/*"
        self._temporary = tempfile.TemporaryDirectory(prefix="freshet-kafka-")
        self.folder = folder or Path(self._temporary.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = log or self.folder / "kafka.log"
        self._properties_file = self.folder / "server.properties"
        port, controller_port = _free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        settings = _properties(port, controller_port, self.folder / "data") | (properties or {})
        self._properties_file.write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items())
        )
        self._format()
        self.start()

    def start(self) -> None:
        """Start it, or start it again, and wait until it serves."""
        self.child = Child("kafka", self._command("kafka.Kafka"), log=self._log)
        try:
            self.child.wait_until_ready(self._answers, START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End it as a crash would; what it acknowledged is on disk or in the page cache."""
        self.child.kill()

    def stop(self) -> None:
        """End it for good."""
        self.child.stop(STOP_TIMEOUT_S)
        self._temporary.cleanup()

    def _command(self, main_class: str, *arguments: str) -> list[str]:
        logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return [
            self._java, HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *logging,
            "-cp", self._classpath, main_class, *(arguments or [str(self._properties_file)]),
        ]  # fmt: skip

    def _format(self) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        options = ["-t", cluster_id, "-c", str(self._properties_file), "--ignore-formatted"]
        command = self._command("kafka.tools.StorageTool", "format", *options)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError("kafka", f"could not format its storage\n{done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        try:
            client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            return bool(client.list_topics(timeout=1.0).brokers)
        except KafkaException:
            return False

    def __enter__(self) -> KafkaBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now; Kafka wants numbers and advertises them."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _properties(port: int, controller_port: int, data: Path) -> dict[str, str]:
    """Return the configuration of broker and controller in one process."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": "10485760",
    }
