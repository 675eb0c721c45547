"""How far the state is behind the log, told from a real broker and a real Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from freshet.commands.lag import look
from freshet.commands.main import cli
from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.producer import EventProducer
from freshet.core.events.topics import Topics
from freshet.core.progress import FOLDS, FoldProgress
from freshet.core.settings import Settings, environment_of
from freshet.core.state.client import connect
from freshet.core.state.keys import Keys

NOW_MS = 1_700_000_000_000


class Frozen:
    """A reader of progress that never changes."""

    def __init__(self, users: FoldProgress) -> None:
        nothing = FoldProgress([{}], np.zeros(1, np.int64), np.zeros(1, np.int64))
        self._found = dict.fromkeys(FOLDS, nothing) | {"users": users}

    def read(self, fold: str) -> FoldProgress:
        return self._found[fold]


def looked(fields: list[dict[str, int]], starts: list[int], ends: list[int]) -> dict[str, Any]:
    """What is found where the users fold stands there."""
    reader: Any = Frozen(FoldProgress(fields, np.array(starts), np.array(ends)))
    return look(reader, NOW_MS)


def test_an_empty_installation_is_behind_nothing() -> None:
    """It has no watermark either."""
    found = looked([{}], [0], [0])
    assert (found["lag"], found["lost"]) == (0, 0)
    [row] = found["folds"]["users"]["partitions"]
    assert row["watermark_age_s"] is None


def test_lag_and_loss_add_up() -> None:
    """Over the partitions of a fold, and over the folds."""
    fields = [
        {"next": 3, "watermark_ts_ms": NOW_MS - 2_500},
        {"next": 4, "heartbeat_ts_ms": NOW_MS - 700},
    ]
    found = looked(fields, [0, 6], [5, 10])
    assert (found["lag"], found["lost"]) == (2 + 4, 2)
    first, second = found["folds"]["users"]["partitions"]
    assert (first["position"], first["start"], first["end"]) == (3, 0, 5)
    assert (first["lag"], first["lost"], first["watermark_age_s"]) == (2, 0, 2.5)
    assert (second["lag"], second["lost"]) == (4, 2)
    assert (first["heartbeat_age_s"], second["heartbeat_age_s"]) == (None, 0.7)
    assert found["folds"]["items"]["lag"] == 0


def test_a_position_ahead_of_its_log_is_shown() -> None:
    """A lag of 0 would say that all is well."""
    found = looked([{"next": 7}, {"next": 2}], [0, 0], [5, 2])
    assert (found["lag"], found["lost"], found["ahead"]) == (0, 0, 2)
    assert [row["ahead"] for row in found["folds"]["users"]["partitions"]] == [2, 0]


def freshet_lag(settings: Settings, *arguments: str) -> Result:
    """Run `freshet lag` for an installation."""
    environment = {name: None for name in os.environ if name.startswith("FRESHET_")}
    return CliRunner(env=environment | environment_of(settings)).invoke(cli, ["lag", *arguments])


@pytest.fixture
def position(settings: Settings) -> Iterator[Any]:
    """Five events in partition 1 that nobody has applied; call it to set the position there."""
    discover_partitions(settings)
    producer = EventProducer(settings.kafka_bootstrap)
    for _ in range(5):
        producer.send(Topics(settings.namespace).events, 1, b"x")
    producer.flush()
    producer.close()
    client = connect(settings.redis_url)
    key = Keys(settings.namespace).user_position(1)
    yield lambda offset: client.hset(key, "next", offset)
    client.close()


@pytest.mark.services
def test_the_table_and_the_json_tell_the_same(settings: Settings, position: Any) -> None:
    """Lag alone is no failure."""
    position(3)
    found = json.loads(freshet_lag(settings, "--json").stdout)
    assert found["lag"] == found["folds"]["users"]["lag"] == 2
    assert [row["lag"] for row in found["folds"]["users"]["partitions"]] == [0, 2, 0, 0]
    shown = freshet_lag(settings)
    assert shown.exit_code == 0
    [row] = [line.split() for line in shown.stdout.splitlines() if line.split()[0] == "1"][:1]
    assert row == ["1", "3", "0", "5", "2", "0", "0"]
    assert shown.stdout.splitlines()[-1].split() == ["all", "2", "0", "0"]


@pytest.mark.services
def test_watching_goes_on_until_ctrl_c(settings: Settings, position: Any) -> None:
    """A line for each look; it sees what moves."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FRESHET_")}
    command = [sys.executable, "-m", "freshet.commands.main", "lag", "--watch", "--json"]
    watch = subprocess.Popen(
        [*command, "--every", "0.1"], env=environment | environment_of(settings),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["lag"] == 5
        position(5)
        while json.loads(watch.stdout.readline())["lag"]:
            pass
        watch.send_signal(signal.SIGINT)
        assert watch.wait(20) == 0
    finally:
        watch.kill()


@pytest.mark.services
@pytest.mark.kafka
def test_lost_records_are_exit_code_1(kafka_settings: Settings) -> None:
    """The log has dropped what was not applied."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    discover_partitions(kafka_settings)
    topic = Topics(kafka_settings.namespace).events
    producer = EventProducer(kafka_settings.kafka_bootstrap)
    for _ in range(5):
        producer.send(topic, 1, b"x")
    producer.flush()
    producer.close()
    admin = AdminClient({"bootstrap.servers": kafka_settings.kafka_bootstrap})
    [deleted] = admin.delete_records([TopicPartition(topic, 1, 4)]).values()
    deleted.result(20)
    done = freshet_lag(kafka_settings, "--json")
    assert done.exit_code == 1
    assert (json.loads(done.stdout)["lost"], json.loads(done.stdout)["lag"]) == (4, 1)


@pytest.mark.services
def test_without_a_broker_it_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a running installation, or the settings."""
    monkeypatch.setattr("freshet.core.events.cluster._REQUEST_S", 0.3)
    done = freshet_lag(Settings(kafka_bootstrap="127.0.0.1:1"))
    assert isinstance(done.exception, ServiceError)
    assert "in the folder where `freshet up` runs" in str(done.exception)
