"""A Redis Cluster of our own: three servers on loopback, each with a third of the slots.

For tests and trials: it has no replicas, so a node that is killed is away until it is started.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from freshet.core.errors import ServiceError
from freshet.embedded.child import Child
from freshet.embedded.redis import find_redis_server

START_TIMEOUT_S = 30.0
POLL_S = 0.05
NODES = 3
SLOTS = 16_384
BUS_OFFSET = 10_000  # the nodes talk to each other on the port so far above


class RedisNode:
    """One server of the cluster; it can be killed and started again at its address.

    Args:
        folder: where its data and its view of the cluster lie.
        durable: keep every write in an append-only file, flushed to disk each second.
        executable: which redis-server.
    """

    def __init__(self, folder: Path, *, durable: bool, executable: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self._options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder.absolute()),
            "save": "",
            "appendonly": "yes" if durable else "no",
            "maxmemory-policy": "noeviction",
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": "5000",
            # While one node is away, the partitions of the others go on.
            "cluster-require-full-coverage": "no",
        }
        self._executable = executable
        self.start()

    @property
    def url(self) -> str:
        """Its own address, for commands to this node alone."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        """A new client of this node alone."""
        return redis.Redis(port=self.port, socket_timeout=2.0)

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        options = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        self.child = Child("redis", [self._executable, *options], log=self.folder / "redis.log")
        try:
            self.child.wait_until_ready(self._answers, START_TIMEOUT_S)
        except BaseException:
            self.child.stop()
            raise

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()

    def stop(self) -> None:
        """End it for good."""
        self.child.stop()

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class RedisCluster:
    """Three nodes in child processes, joined to a cluster.

    Args:
        folder: where their data lie; a temporary one when None.
        durable: keep every write in append-only files.
        executable: which redis-server; `find_redis_server()` when None.

    Raises:
        ServiceError: there is no redis-server, or they do not become a cluster.
    """

    def __init__(
        self, *, folder: Path | None = None, durable: bool = False, executable: str | None = None
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="freshet-redis-")
        self.folder = folder or Path(self._temporary.name)
        executable = executable or find_redis_server()
        self.nodes: list[RedisNode] = []
        try:
            for number in range(NODES):
                place = self.folder / f"node-{number}"
                self.nodes.append(RedisNode(place, durable=durable, executable=executable))
            self._join()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Its address, as `FRESHET_REDIS_URL` takes it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def node_of(self, key: str) -> RedisNode:
        """Return the node that holds a key."""
        slot = key_slot(key.encode())
        return next(node for node, slots in zip(self.nodes, _slots(), strict=True) if slot in slots)

    def start(self) -> None:
        """Start all nodes again and wait until they are a cluster."""
        for node in self.nodes:
            node.start()
        self._wait_until_whole()

    def kill(self) -> None:
        """End all nodes as a crash would."""
        for node in self.nodes:
            node.kill()

    def stop(self) -> None:
        """End all nodes for good."""
        for node in self.nodes:
            node.stop()
        self._temporary.cleanup()

    def _join(self) -> None:
        for number, (node, slots) in enumerate(zip(self.nodes, _slots(), strict=True)):
            with node.client as client:
                # Nodes with the same epoch would first have to settle who is right.
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER ADDSLOTS", *slots)
                for other in self.nodes[:number]:  # rumour alone would take longer
                    client.execute_command("CLUSTER MEET", "127.0.0.1", other.port)
        self._wait_until_whole()

    def _wait_until_whole(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(self._is_whole(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise ServiceError(
                    "redis", f"no cluster of {NODES} nodes within {START_TIMEOUT_S:.0f} s"
                )
            time.sleep(POLL_S)

    def _is_whole(self, node: RedisNode) -> bool:
        """Return whether a node knows all slots and reaches all nodes."""
        with contextlib.suppress(redis.RedisError), node.client as client:
            found: dict[str, str] = client.execute_command("CLUSTER INFO")
            known = (found["cluster_state"], found["cluster_slots_ok"], found["cluster_size"])
            return known == ("ok", str(SLOTS), str(NODES))
        return False

    def __enter__(self) -> RedisCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _slots() -> list[range]:
    """Return the slots of each node."""
    return [range(SLOTS * n // NODES, SLOTS * (n + 1) // NODES) for n in range(NODES)]


def _free_port() -> int:
    """Return a port that is free now together with that of its bus."""
    while True:
        with socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port + BUS_OFFSET > 65_535:
                continue
            with contextlib.suppress(OSError):
                bus.bind(("127.0.0.1", port + BUS_OFFSET))
                return port
