"""Up: everything in one terminal, found by the other verbs, gone after Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
from click.testing import CliRunner

from freshet.commands.main import cli
from freshet.commands.running import find_running
from freshet.core.events.cluster import existing_partitions
from freshet.core.events.codec import encode
from freshet.core.events.partition import partition_of
from freshet.core.events.producer import EventProducer
from freshet.core.events.schema import Event
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings, load_settings
from freshet.core.state.reader import StateReader

pytestmark = pytest.mark.services

USERS = [f"user-{n}" for n in range(40)]
EVENTS_EACH = 5


def freshet_up(folder: Path, *options: str) -> Any:
    """Start `freshet up` in a folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FRESHET_")}
    return subprocess.Popen(
        [sys.executable, "-m", "freshet.commands.main", "up", "--port", "0", *options],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@contextmanager
def running(
    folder: Path, wait_until: Callable[..., None], *options: str, asked_by: int = signal.SIGINT
) -> Iterator[tuple[Settings, Any]]:
    """An installation in a folder; afterwards, what it said is in `said` of what is yielded."""
    up = freshet_up(folder, *options)
    file = folder / ".freshet" / "running.toml"
    try:
        wait_until(lambda: up.poll() is not None or find_running({}, file), 90, "it runs")
        assert up.poll() is None, up.stdout.read()
        yield load_settings({}, path=file), up
        up.send_signal(asked_by)
        up.said, _ = up.communicate(timeout=60)
    finally:
        up.kill()
    assert up.returncode == 0, up.said
    assert "Traceback" not in up.said
    assert not file.exists()


@pytest.mark.parametrize("asked_by", [signal.SIGINT, signal.SIGTERM])
def test_everything_starts_is_found_and_ends(
    tmp_path: Path, wait_until: Callable[..., None], asked_by: signal.Signals
) -> None:
    """No process, and no file that says it runs, is left behind."""
    with running(tmp_path, wait_until, asked_by=asked_by) as (settings, up):
        url = f"http://{settings.http_host}:{settings.http_port}"
        assert httpx.get(f"{url}/readyz").status_code == httpx.codes.OK
        family = psutil.Process(up.pid).children(recursive=True)
        assert len(family) >= 5  # broker, Redis, supervisor, worker, server
    assert url in up.said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_brokers_without_kafka_are_a_mistake() -> None:
    """Nothing is started."""
    done = CliRunner().invoke(cli, ["up", "--brokers", "3"])
    assert done.exit_code == 2
    assert "add it" in done.output


@pytest.mark.kafka
def test_a_second_start_goes_on_with_what_the_first_one_kept(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """Same address, same events, and every user counted exactly; another size is refused."""
    if os.environ.get("FRESHET_NO_KAFKA") == "1":
        pytest.skip("APACHE KAFKA IS SWITCHED OFF by FRESHET_NO_KAFKA=1")
    with running(tmp_path, wait_until, "--kafka", "--brokers", "1") as (first, up):
        live(first, wait_until, life=0)
    assert "data        .freshet/kafka/, .freshet/redis/ (kept)" in up.said
    assert (tmp_path / ".freshet" / "logs" / "kafka-1.log").exists()
    refused = freshet_up(tmp_path, "--kafka", "--brokers", "3")
    assert "brokers is 3, expected 1" in refused.communicate(timeout=60)[0]
    assert refused.returncode == 2
    with running(tmp_path, wait_until, "--kafka") as (second, _):
        assert second.kafka_bootstrap == first.kafka_bootstrap
        assert counted(second) == dict.fromkeys(USERS, EVENTS_EACH)
        live(second, wait_until, life=1)
        assert counted(second) == dict.fromkeys(USERS, 2 * EVENTS_EACH)
        with redis.Redis.from_url(second.redis_url) as client:
            positions = StateReader(client, second.namespace, second.partitions).user_positions()
        applied = sum(position.get("applied", 0) for position in positions)
        duplicates = sum(position.get("duplicates", 0) for position in positions)
        assert (applied, duplicates) == (2 * EVENTS_EACH * len(USERS), 0)


def live(settings: Settings, wait_until: Callable[..., None], *, life: int) -> None:
    """Send events of every user and wait until they are in the state."""
    partitions = existing_partitions(settings)
    topic = Topics(settings.namespace).events
    with (
        closing(EventProducer(settings.kafka_bootstrap)) as producer,
        ProgressReader(settings, partitions) as reader,
    ):
        for user in USERS:
            for number in range(EVENTS_EACH):
                event = Event(
                    event_id=f"{life}-{number}",
                    type="click",
                    user_id=user,
                    item_id=f"item-{number}",
                    ts_ms=1_700_000_000_000 + life,
                )
                where = partition_of(user, partitions)
                producer.send(topic, where, encode(event), key=user.encode())
        producer.flush()
        wait_until(reader.drained, 60, "all events are in the state")


def counted(settings: Settings) -> dict[str, int]:
    """How many events the state counts of each user."""
    with redis.Redis.from_url(settings.redis_url) as client:
        users, records = StateReader(client, settings.namespace, settings.partitions).users()
    return dict(zip(users, records["type_counts"].sum(axis=1).tolist(), strict=True))
