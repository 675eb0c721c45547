"""On a broker that makes every topic that is named, as Apache Kafka does by default."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from confluent_kafka.admin import NewTopic

from freshet.commands import dlq, doctor, lag
from freshet.core.errors import FreshetError, SettingError
from freshet.core.events.cluster import Cluster, discover_partitions, existing_partitions
from freshet.core.events.example_log import ExampleLog
from freshet.core.events.producer import EventProducer
from freshet.core.events.topic_configs import read_configs
from freshet.core.events.topic_log import TopicLog
from freshet.core.events.topics import Topics
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings, environment_of
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.redis import RedisServer
from streams.log_ends import LogEnds

pytestmark = [pytest.mark.services, pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def willing_broker() -> Iterator[KafkaBroker]:
    """A broker with the default that ours are made without."""
    if os.environ.get("FRESHET_NO_KAFKA") == "1":
        pytest.skip("APACHE KAFKA IS SWITCHED OFF by FRESHET_NO_KAFKA=1")
    with KafkaBroker(properties={"auto.create.topics.enable": "true"}) as broker:
        yield broker


@pytest.fixture
def willing(
    willing_broker: KafkaBroker, redis_server: RedisServer, request: pytest.FixtureRequest
) -> Settings:
    """Settings of an installation on it, eight partitions wide."""
    return Settings(
        namespace=f"auto-{abs(hash(request.node.name)) % 10**8}",
        kafka_bootstrap=willing_broker.bootstrap,
        redis_url=redis_server.url,
        partitions=8,
    )


def there(settings: Settings) -> list[str]:
    """The topics of the namespace that exist."""
    topics = Cluster(settings).list_topics(10).topics
    return [name for name in topics if name.startswith(f"{settings.namespace}.")]


def test_who_looks_writes_or_follows_creates_nothing(
    willing: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every client that is opened, before the first worker was."""
    topics = Topics(willing.namespace)
    monkeypatch.chdir(tmp_path)
    for name, value in environment_of(willing).items():
        monkeypatch.setenv(name, value)
    for verb, arguments in ((lag, []), (dlq, ["ls"])):
        assert "has no topic" in str(CliRunner().invoke(verb.command, arguments).exception)
    assert "missing: " in CliRunner().invoke(doctor.command, []).output
    with pytest.raises(FreshetError):
        existing_partitions(willing)
    with ProgressReader(willing, 2) as progress, pytest.raises(FreshetError):
        progress.read("users")
    with TopicLog(willing, topics.events, "test") as log, pytest.raises(FreshetError):
        log.bounds([0])
    with ExampleLog(willing, 2) as examples, suppress(FreshetError):
        examples.poll(1.0)
    ends = LogEnds(willing, {"users": topics.events})
    assert ends.read([("users", 0)]) == {}
    with closing(EventProducer(willing)) as producer:
        producer.send(topics.events, 0, b"x")
        with pytest.raises(FreshetError):
            producer.flush(3.0)
    assert there(willing) == []


def test_topics_are_made_as_they_are_meant(willing: Settings) -> None:
    """By the first that needs them, with its partitions and policies."""
    assert discover_partitions(willing) == 8
    expected = Topics(willing.namespace).all()
    found = read_configs(Cluster(willing).admin, expected)
    assert {
        name: {key: found[name][key] for key in expected[name]} for name in expected
    } == expected


def test_topics_that_the_broker_made_are_refused(
    willing: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start by a sentence with the remedy, and by doctor."""
    names = list(Topics(willing.namespace).all())
    made = Cluster(willing).admin.create_topics([NewTopic(name, 1, 1) for name in names])
    for future in made.values():
        future.result()
    with pytest.raises(SettingError, match="set FRESHET_PARTITIONS=1, or let"):
        discover_partitions(willing)
    narrow = msgspec.structs.replace(willing, partitions=1)
    with pytest.raises(SettingError, match=r"catalog --add-config cleanup.policy=compact"):
        discover_partitions(narrow)
    for name, value in environment_of(willing).items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(doctor.command, ["--json"])
    assert result.exit_code == 1
    failed = [
        each for each in msgspec.json.decode(result.stdout)["findings"] if each["level"] == "fail"
    ]
    assert {"partitions", "topic"} <= {each["what"] for each in failed}
    assert any("cleanup.policy=delete" in each["found"] for each in failed)
