"""What is pulled: the processes behind a supervisor, a server of Redis, and a freeze that thaws."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil
import redis

from freshet.core.events.partition import partition_of
from freshet.core.settings import Settings
from freshet.core.state.keys import Keys
from freshet.embedded.child import Child, freeze
from freshet.embedded.redis import RedisServer
from freshet.embedded.redis_cluster import RedisCluster, RedisNode

START_S = 30.0

RedisUnderTest = RedisServer | RedisCluster
"""Can be killed and started as a whole; see `server_of` and `clients_of` for its parts."""


def worker_process(supervisor: Child) -> psutil.Process | None:
    """Return the worker below a supervisor, if it is running."""
    with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor itself may have ended
        for process in psutil.Process(supervisor.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                if "--alone" in process.cmdline():
                    return process
    return None


def await_worker(supervisor: Child, wait_until: Callable[..., None]) -> psutil.Process:
    """Wait until a supervisor's worker runs, and return it."""
    wait_until(lambda: worker_process(supervisor), START_S, f"{supervisor.name} runs a worker")
    process = worker_process(supervisor)
    assert process is not None
    return process


@contextmanager
def clients_of(server: RedisUnderTest) -> Iterator[list[Any]]:
    """Clients of the one server, or of each node: a cluster's sends CONFIG SET to one of them."""
    servers = server.nodes if isinstance(server, RedisCluster) else [server]
    with ExitStack() as stack:
        yield [stack.enter_context(redis.Redis.from_url(each.url)) for each in servers]


def server_of(server: RedisUnderTest, settings: Settings, user_id: str) -> RedisServer | RedisNode:
    """Return the server that holds a user: of a cluster, to lose one node is the common case."""
    if not isinstance(server, RedisCluster):
        return server
    partition = partition_of(user_id, settings.partitions)
    return server.node_of(Keys(settings.namespace).users(partition))


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes as a pause of their machine would, and let them go on in the end."""
    for pid in pids:
        freeze(pid)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
