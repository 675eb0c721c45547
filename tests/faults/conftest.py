"""Fixtures of the fault catalogue, and the option that writes RESULTS.md."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from freshet.commands.processes import start_worker
from freshet.core.settings import Settings
from freshet.embedded.broker import EmbeddedBroker
from freshet.embedded.child import Child

from .catalogue import ELSEWHERE
from .plugs import RedisUnderTest
from .results import Results
from .stream import Stream, WaitUntil, open_stream

DEFAULT_SEED = 1

_numbers = itertools.count()

Measured = Callable[..., None]
OpenStream = Callable[[Settings], Stream]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `pytest tests/faults` takes."""
    parser.addoption("--results", type=Path, help="write what the fault tests measured to a file")
    parser.addoption("--fault-seed", type=int, default=DEFAULT_SEED, help="of the fault tests")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; with --results, run the tests of other folders that hold a row too."""
    config.addinivalue_line("markers", "fault(*rows, promise): rows of the fault catalogue")
    path = config.getoption("--results", default=None)
    if path is not None and config.getoption("numprocesses", default=None):
        raise pytest.UsageError("--results takes the figures of tests that run alone: omit -n")
    if path is not None:
        config.args += list(dict.fromkeys(each.test for each in ELSEWHERE))
        config.pluginmanager.register(Results(path, _seed(config)), "fault-results")


def _seed(config: pytest.Config) -> int:
    return int(config.getoption("--fault-seed", default=DEFAULT_SEED))


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of everything that is drawn."""
    return _seed(request.config)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """`measured(recovery_s=1.2, counted=300)` notes what stands in RESULTS.md."""

    def note(**figures: float | str) -> None:
        request.node.user_properties += figures.items()

    return note


@pytest.fixture
def redis_server(redis_kind: type[RedisUnderTest], tmp_path: Path) -> Iterator[RedisUnderTest]:
    """An empty Redis of the test's own, durable, its files in a folder that can be copied."""
    with redis_kind(folder=tmp_path / "redis", durable=True) as server:
        yield server


@pytest.fixture
def streaming(wait_until: WaitUntil, seed: int) -> Iterator[OpenStream]:
    """`streaming(settings)` opens a stream that is closed with the test."""
    with ExitStack() as stack:

        def start(settings: Settings) -> Stream:
            stream = open_stream(settings, wait_until, seed)
            stack.callback(stream.close)
            return stream

        yield start


@pytest.fixture
def stream(settings: Settings, streaming: OpenStream) -> Stream:
    """A stream on the embedded broker."""
    return streaming(settings)


@pytest.fixture
def kafka_stream(kafka_settings: Settings, streaming: OpenStream) -> Stream:
    """A stream on Apache Kafka."""
    return streaming(kafka_settings)


@dataclass(frozen=True, slots=True)
class Running:
    """A stream whose worker runs, and stays for the tests of a file."""

    stream: Stream
    worker: Child
    redis: RedisUnderTest


@pytest.fixture(scope="module")
def running(
    embedded_broker: EmbeddedBroker,
    redis_kind: type[RedisUnderTest],
    wait_until: WaitUntil,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """For tests that harm nothing: a worker takes seconds to start, and these need no new one.

    The truth adds up, so each of them checks what the ones before it sent too.
    """
    folder = tmp_path_factory.mktemp("running")
    with redis_kind() as server:
        settings = Settings(
            namespace=f"running-{next(_numbers)}",
            kafka_bootstrap=embedded_broker.bootstrap,
            redis_url=server.url,
            models_dir=str(folder / "models"),
            http_port=0,
            heartbeat_s=0.0,
        )
        stream = open_stream(settings, wait_until, seed)
        worker = start_worker(settings, log=folder / "worker.log")
        try:
            stream.send(1)
            stream.catch_up()
            yield Running(stream, worker, server)
        finally:
            worker.stop()
            stream.close()
