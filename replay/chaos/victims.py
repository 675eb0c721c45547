"""The processes of a chaos run: a broker, a Redis that keeps a log, supervised workers, a server.

All of them are children of the calling thread, which must be the main one: the kernel ends them
with the thread that started them.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import psutil
import redis
from confluent_kafka import KafkaException

from freshet.core.address import http_url
from freshet.core.errors import ServiceError
from freshet.core.settings import Settings, environment_of
from freshet.core.state.keys import Keys
from freshet.embedded.broker import EmbeddedBroker
from freshet.embedded.child import Child, freeze
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.redis import RedisServer
from replay.chaos.kafka_commits import KafkaCommits
from replay.chaos.plan import KAFKA

NAMESPACE = "chaos"
PARTITIONS = 6  # more than workers: one that joins gets some
FEW_PARTITIONS = 4  # of the embedded broker
BATCH_EVENTS = 5_000  # the most: a burst, and what an emptied Redis is filled with, come in one
JOIN_WINDOW_S = 30  # short, so that answers become examples within the run
HOST = "127.0.0.1"
SERVER_S = 60.0  # until a server answers
ALONE = "--alone"
WORKER_S = 40.0  # until there is a worker to strike, or a worker has ended
FOLDED_S = 120.0  # until a worker that joined has folded: it starts, and waits for a partition
BUG_S = 30.0
POLL_S = 0.05

Found = TypeVar("Found")


class Victims:
    """The processes, and what can be done to them; a context manager.

    Attributes:
        settings: with the true addresses.
        workers: the supervisors.
        server: `freshet serve`, at an address that stays.
        send_burst: sends many events at once; to be put here by whoever sends.

    Args:
        settings: of the workers; addresses, namespace and widths are replaced.
        folder: of all data and logs.
        broker: which one, of `plan.BROKERS`.
        workers: how many.
        without: the protection that the workers do without, "" for none.
    """

    def __init__(
        self, settings: Settings, folder: Path, *, broker: str, workers: int, without: str = ""
    ) -> None:
        self.folder = folder
        self.tokens = folder / "bugs"
        self.tokens.mkdir(parents=True)
        self._without = without
        self._tokens = 0
        self._stack = ExitStack()
        try:
            self.redis = self._stack.enter_context(
                RedisServer(folder=folder / "redis", durable=True)
            )
            self._keep_log()
            log = folder / "broker.log"
            self.broker: KafkaBroker | EmbeddedBroker
            if broker == KAFKA:
                self.broker = KafkaBroker(folder=folder / "kafka", log=log)
            else:
                self.broker = EmbeddedBroker(log=log)
            self._stack.enter_context(self.broker)
            self.settings = msgspec.structs.replace(
                settings,
                heartbeat_s=0.0,  # the audit compares offsets with what was sent
                namespace=NAMESPACE,
                kafka_bootstrap=self.broker.bootstrap,
                redis_url=self.redis.url,
                partitions=PARTITIONS if broker == KAFKA else FEW_PARTITIONS,
                models_dir=str(folder / "models"),
                worker_metrics_port=0,  # several workers would fight for one
                batch_events=BATCH_EVENTS,
                join_window_s=JOIN_WINDOW_S,
                http_host=HOST,
                http_port=_free_port(),
            )
            self.send_burst: Callable[[], None] = lambda: None
            self.workers = [self.start_worker(number) for number in range(workers)]
            self.server = self._start_server()
        except BaseException:
            self._stack.close()
            raise

    @property
    def url(self) -> str:
        """Of the server."""
        return http_url(HOST, self.settings.http_port)

    def start_worker(self, number: int) -> Child:
        """Start a supervised worker; one of the same number before it must have ended."""
        name = _instance(number)
        folded_mark(self.tokens, name).unlink(missing_ok=True)
        command = [sys.executable, "-m", "replay.chaos.worker"]
        command += ["--instance-id", name, "--tokens", str(self.tokens.absolute())]
        command += ["--without", self._without] if self._without else []
        log = self.folder / f"worker-{number}.log"
        child = Child(
            f"worker {number}", command, log=log, environment=environment_of(self.settings)
        )
        self._stack.callback(child.stop)
        return child

    def require_running(self) -> None:
        """Raise when a supervisor has ended by itself.

        Raises:
            ServiceError: names it and holds the end of its log.
        """
        for child in [*self.workers, self.server]:
            if not child.running:
                code = child.process.returncode
                raise ServiceError(child.name, f"ended with code {code}\n{child.log_tail()}")

    def worker_below(self, supervisor: Child) -> psutil.Process:
        """Return the worker below a supervisor, waiting for it while it is between two lives.

        Raises:
            ServiceError: there is none for long.
        """
        return self._wait(lambda: _below(supervisor), WORKER_S, supervisor.name, "does not start")

    def await_folded(self, number: int) -> None:
        """Wait until a worker that was started last has written state.

        Raises:
            ServiceError: it has not for long.
        """
        mark = folded_mark(self.tokens, _instance(number))
        self._wait(lambda: mark.exists() or None, FOLDED_S, _instance(number), "folded nothing")

    def kill_server(self) -> None:
        """Kill -9 the server, and start it again at its address."""
        self.server.kill()
        self.server = self._start_server()

    def kill_workers(self, *numbers: int) -> None:
        """Kill -9 workers at once; their supervisors start them again."""
        for process in [self.worker_below(self.workers[number]) for number in numbers]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it was about to end by itself
                process.kill()

    def restart_worker(self, number: int) -> None:
        """Ask a worker to stop, as a deployment does, and start it again.

        Raises:
            ServiceError: it did not stop as asked.
        """
        self.end_worker(self.workers[number])
        self.workers[number] = self.start_worker(number)

    def end_worker(self, supervisor: Child) -> None:
        """Ask a worker to stop and wait for it.

        Raises:
            ServiceError: there is no worker for long, it had to be killed, or its code is not 0.
        """
        self.worker_below(supervisor)  # before that, the signal itself would end it
        code = supervisor.stop(self.settings.shutdown_s + WORKER_S)
        if code:
            raise ServiceError(
                supervisor.name, f"stopped with code {code}, expected 0\n{supervisor.log_tail()}"
            )

    @contextlib.contextmanager
    def frozen_worker(self, number: int) -> Iterator[None]:
        """Freeze a worker for as long as the context lasts."""
        process = self.worker_below(self.workers[number])
        with contextlib.suppress(ProcessLookupError):
            freeze(process.pid)
        try:
            yield
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    @contextlib.contextmanager
    def frozen_broker(self) -> Iterator[None]:
        """Freeze the broker for as long as the context lasts."""
        self.broker.child.freeze()
        try:
            yield
        finally:
            self.broker.child.thaw()

    @contextlib.contextmanager
    def dead_broker(self) -> Iterator[None]:
        """Kill -9 the broker, and start it again when the context ends.

        Raises:
            ServiceError: the embedded broker cannot be started again at its address.
        """
        if not isinstance(self.broker, KafkaBroker):
            raise ServiceError("kafka", "the embedded broker forgets all when it ends: freeze it")
        self.broker.kill()
        try:
            yield
        finally:
            self.broker.start()

    @contextlib.contextmanager
    def dead_redis(self) -> Iterator[None]:
        """Kill -9 Redis, and start it on the log that it finds when the context ends."""
        self.redis.kill()
        try:
            yield
        finally:
            self.redis.start()
            self._keep_log()

    def copy_redis_log(self, to: Path) -> None:
        """Copy the log of Redis as it is now; a torn last command is what a power cut leaves."""
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        for found in self.redis.folder.glob("appendonly*"):  # a folder since Redis 7, before a file
            copy = shutil.copytree if found.is_dir() else shutil.copy
            copy(found, to / found.name)

    def put_redis_log(self, copied: Path) -> None:
        """Put a copied log in the place of the present one; Redis must be dead."""
        for found in self.redis.folder.glob("appendonly*"):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
        for found in copied.iterdir():
            found.rename(self.redis.folder / found.name)

    def await_commit(self) -> None:
        """Wait until Kafka holds a commit beyond what is applied now.

        Raises:
            ServiceError: nothing was committed for long.
        """
        commits = KafkaCommits(self.settings)
        keys = [Keys(NAMESPACE).user_position(number) for number in range(self.settings.partitions)]
        with redis.Redis.from_url(self.redis.url) as client:
            applied = {key: int(client.hget(key, "next") or 0) for key in keys}

        def committed() -> bool | None:
            with contextlib.suppress(KafkaException):  # the broker may only just be back
                if any((commits.of(key) or 0) > offset for key, offset in applied.items()):
                    return True
            return None

        self._wait(committed, WORKER_S, "worker", "committed nothing")

    def flush_redis(self) -> None:
        """Empty Redis."""
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()

    def strike_bug(self, place: str) -> None:
        """Let the next round of some worker raise, and wait until one has.

        Raises:
            ServiceError: no round came by for long.
        """
        self._tokens += 1
        token = self.tokens / f"{place}-{self._tokens}"
        token.touch()
        self._wait(lambda: not token.exists() or None, BUG_S, "worker", f"ran into no bug {place}")

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_server(self) -> Child:
        """Start the server and wait until it answers; what it follows may be away."""
        child = Child(
            "server",
            [sys.executable, "-m", "freshet.commands.main", "serve"],
            log=self.folder / "server.log",
            environment=environment_of(self.settings),
        )
        self._stack.callback(child.stop)
        child.wait_until_ready(self._server_answers, SERVER_S)
        return child

    def _server_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False

    def _keep_log(self) -> None:
        # A log that is rewritten under way cannot be copied file by file.
        with redis.Redis.from_url(self.redis.url) as client:
            client.config_set("auto-aof-rewrite-percentage", 0)

    def _wait(
        self, find: Callable[[], Found | None], timeout_s: float, who: str, what: str
    ) -> Found:
        deadline_s = time.monotonic() + timeout_s
        while (found := find()) is None:
            self.require_running()
            if time.monotonic() > deadline_s:
                raise ServiceError(who, f"{what} within {timeout_s:g} s; logs are in {self.folder}")
            time.sleep(POLL_S)
        return found


def folded_mark(tokens: Path, instance_id: str) -> Path:
    """Return the file that a worker makes when it has written state."""
    return tokens / f"folded-{instance_id}"


def _free_port() -> int:
    """Return a port that nobody listens on; a server that starts again must find its own."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _instance(number: int) -> str:
    return f"worker-{number}"


def _below(supervisor: Child) -> psutil.Process | None:
    """Return the worker that a supervisor runs now."""
    with contextlib.suppress(psutil.NoSuchProcess):  # each of them may end while it is looked at
        for process in psutil.Process(supervisor.pid).children(recursive=True):
            if ALONE in process.cmdline():
                return process
    return None
