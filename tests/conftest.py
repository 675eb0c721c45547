"""Fixtures of all tests: real services, real logs, and the one way of waiting.

A service that a test asks for and that cannot start is a failure, never a silent skip; only
`FRESHET_NO_KAFKA=1` switches the tests on Apache Kafka off, by name.

`make test` runs them in two processes (pytest-xdist), each with services of its own. How the tests
are shared out stands in `distribution.py`.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from freshet.commands.processes import Server, start_server, start_worker
from freshet.core.settings import Settings
from freshet.embedded.broker import EmbeddedBroker
from freshet.embedded.child import Child
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.redis import RedisServer
from freshet.embedded.redis_cluster import RedisCluster

from .distribution import FileScheduling, alone_last

ROOT = Path(__file__).parents[1]
POLL_S = 0.02

_namespaces = itertools.count()

hypothesis.settings.register_profile("freshet", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("freshet")

_GZIP = b"\x1f\x8b"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name packed bytes by their argument: they hold the second in which they were packed.

    Two processes that share the tests must give each of them the same name.
    """
    return argname if isinstance(val, bytes) and val.startswith(_GZIP) else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is marked `alone` at the end."""
    items[:] = alone_last(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """Share the tests out file by file."""
    return FileScheduling(config, log)


def _wait_until(predicate: Callable[[], object], timeout_s: float = 30.0, what: str = "") -> None:
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            pytest.fail(f"not true within {timeout_s:g} s: {what or predicate}")
        time.sleep(POLL_S)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """`wait_until(predicate, timeout_s=30, what="")` polls until it is true, or fails the test."""
    return _wait_until


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real logs: `FRESHET_DATA`, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("FRESHET_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"REAL LOGS ARE ABSENT: {folder} is no folder; name one with FRESHET_DATA")
    return folder


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """The broker of librdkafka in a process of its own; topics are told apart by the namespace."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """Apache Kafka; topics are told apart by the namespace."""
    if os.environ.get("FRESHET_NO_KAFKA") == "1":
        pytest.skip("APACHE KAFKA IS SWITCHED OFF by FRESHET_NO_KAFKA=1")
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def redis_kind() -> type[RedisServer | RedisCluster]:
    """What all tests take for their Redis; `FRESHET_TEST_REDIS=cluster` makes it three nodes."""
    return RedisCluster if os.environ.get("FRESHET_TEST_REDIS") == "cluster" else RedisServer


@pytest.fixture
def redis_server(
    redis_kind: type[RedisServer | RedisCluster],
) -> Iterator[RedisServer | RedisCluster]:
    """An empty Redis of the test's own, which the test may kill."""
    with redis_kind() as server:
        yield server


@pytest.fixture
def settings(
    embedded_broker: EmbeddedBroker, redis_server: RedisServer, tmp_path: Path
) -> Settings:
    """Settings of an installation of the test's own on the embedded broker."""
    return _settings(embedded_broker.bootstrap, redis_server.url, tmp_path)


@pytest.fixture
def kafka_settings(
    kafka_broker: KafkaBroker, redis_server: RedisServer, tmp_path: Path
) -> Settings:
    """Settings of an installation of the test's own on Apache Kafka."""
    return _settings(kafka_broker.bootstrap, redis_server.url, tmp_path)


def _settings(bootstrap: str, redis_url: str, folder: Path) -> Settings:
    return Settings(
        namespace=f"test-{next(_namespaces)}",
        kafka_bootstrap=bootstrap,
        redis_url=redis_url,
        partitions=4,
        models_dir=str(folder / "models"),
        http_port=0,
        heartbeat_s=0.0,  # offsets are counted; who tests heartbeats sets it
    )


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[Settings], Child]]:
    """`worker(settings)` starts a `freshet worker`, which ends with the test."""
    started: list[Child] = []

    def start(settings: Settings) -> Child:
        started.append(start_worker(settings, log=tmp_path / f"worker-{len(started)}.log"))
        return started[-1]

    yield start
    for child in started:
        child.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`server(settings, wait_until_ready=True)` starts a `freshet serve`, ended with the test."""
    started: list[Server] = []

    def start(settings: Settings, *, wait_until_ready: bool = True) -> Server:
        log = tmp_path / f"server-{len(started)}.log"
        started.append(start_server(settings, log=log, wait_until_ready=wait_until_ready))
        return started[-1]

    yield start
    for each in started:
        each.child.stop()
