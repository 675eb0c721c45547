"""Of what a local Kafka cluster consists: its id, its brokers, their ports and their settings.

Each process is broker and controller in one. The layout lies beside the data as `cluster.json`, so
that the next start finds the same cluster at the same addresses.
"""

from __future__ import annotations

import os
import secrets
import socket
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from freshet.core.errors import SettingError
from freshet.core.events.topics import most_insync, most_replicas

LAYOUT_FILE = "cluster.json"
HOST = "127.0.0.1"

# Below the ports that the kernel gives to outgoing connections. A client that keeps trying a dead
# broker on one of those is some day given that very port, meets itself, and holds it.
FIRST_PORT, LAST_PORT = 20_000, 32_000


class Node(Struct, frozen=True):
    """One process of the cluster.

    Attributes:
        number: its node id, from 1.
        port: where clients reach it.
        controller_port: where the other controllers reach it.
    """

    number: int
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"{HOST}:{self.port}"


class ClusterLayout(Struct, frozen=True):
    """A cluster: its id and its processes."""

    id: str
    nodes: tuple[Node, ...]

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers, as `FRESHET_KAFKA_BOOTSTRAP` takes them."""
        return ",".join(node.address for node in self.nodes)

    def properties(self, number: int, data: Path) -> dict[str, str]:
        """Return the settings of one process.

        Args:
            number: its node id.
            data: folder of its logs.
        """
        node = self.nodes[number - 1]
        voters = (f"{each.number}@{HOST}:{each.controller_port}" for each in self.nodes)
        replicas = str(most_replicas(len(self.nodes)))
        insync = str(most_insync(len(self.nodes)))
        return {
            "process.roles": "broker,controller",
            "node.id": str(number),
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{HOST}:{node.controller_port}",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": insync,
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": insync,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": insync,
            "group.initial.rebalance.delay.ms": "0",
            # A killed broker may register again when the session of its last life is over.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "log.cleaner.dedupe.buffer.size": "10485760",
        }


def plan_layout(folder: Path, brokers: int | None = None) -> ClusterLayout:
    """Return the cluster that a folder holds, or a new one, written down there.

    Ports stay what they were unless another program has taken them.

    Args:
        folder: of the cluster.
        brokers: how many; None for as many as the folder holds, or one.

    Raises:
        SettingError: the folder holds a cluster of another size.
    """
    file = folder / LAYOUT_FILE
    if file.exists():
        layout = msgspec.json.decode(file.read_bytes(), type=ClusterLayout)
        if brokers not in (None, len(layout.nodes)):
            raise SettingError(
                "brokers",
                brokers,
                f"{len(layout.nodes)}, as many as the cluster that {folder} keeps; to begin anew, "
                "delete that folder and the Redis that belongs to it",
            )
        layout = _with_free_ports(layout)
    else:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        unplaced = tuple(Node(number, 0, 0) for number in range(1, (brokers or 1) + 1))
        layout = _with_free_ports(ClusterLayout(cluster_id, unplaced))
    folder.mkdir(parents=True, exist_ok=True)
    staged = file.with_suffix(".part")
    staged.write_bytes(msgspec.json.encode(layout))
    os.replace(staged, file)
    return layout


def _with_free_ports(layout: ClusterLayout) -> ClusterLayout:
    free = _free_ports(
        [port for node in layout.nodes for port in (node.port, node.controller_port)]
    )
    nodes = tuple(Node(node.number, next(free), next(free)) for node in layout.nodes)
    return ClusterLayout(layout.id, nodes)


def _free_ports(wanted: Sequence[int]) -> Iterator[int]:
    """Return a port for each that is wanted: itself when it is free, another when not (or 0)."""
    held: list[socket.socket] = []
    try:
        for port in wanted:
            listener = _listen(port)
            while listener is None:
                listener = _listen(secrets.choice(range(FIRST_PORT, LAST_PORT)))
            held.append(listener)
        return iter([listener.getsockname()[1] for listener in held])
    finally:
        for listener in held:
            listener.close()


def _listen(port: int) -> socket.socket | None:
    """Return a socket on the port, or None when there is no such port or it is taken."""
    if not port:
        return None
    listener = socket.socket()
    # As Kafka does: a port whose last connections are still winding down is free.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener
