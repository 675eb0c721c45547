"""Apache Kafka from its jars: one broker and three."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.topics import Topics
from freshet.core.settings import Settings
from freshet.embedded import kafka
from freshet.embedded.kafka import KafkaBroker
from freshet.embedded.kafka_cluster import KafkaCluster

pytestmark = [
    pytest.mark.services,
    pytest.mark.kafka,
    pytest.mark.skipif(
        os.environ.get("FRESHET_NO_KAFKA") == "1",
        reason="APACHE KAFKA IS SWITCHED OFF by FRESHET_NO_KAFKA=1",
    ),
]

TOPIC = Topics("freshet").events


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """Three brokers with the topics of an installation."""
    with KafkaCluster(3) as cluster:
        discover_partitions(Settings(kafka_bootstrap=cluster.bootstrap, partitions=3))
        yield cluster


def send(bootstrap: str, value: bytes, *, timeout_s: float = 20) -> None:
    """Produce one record and wait until it is acknowledged, or raise why it is not."""
    failures: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap, "acks": "all", "log_level": 0,
            "delivery.timeout.ms": int(timeout_s * 1000),
        }
    )  # fmt: skip
    producer.produce(
        TOPIC, value=value, partition=0, on_delivery=lambda error, _: failures.append(error)
    )
    assert producer.flush(timeout_s + 5) == 0
    if failures[0] is not None:
        raise KafkaException(failures[0])


def values(bootstrap: str, count: int) -> list[bytes | None]:
    """Read the first records of the partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "log_level": 0})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    found = consumer.consume(count, timeout=20)
    consumer.close()
    return [record.value() for record in found]


def test_topics_are_not_created_by_being_named(kafka_broker: KafkaBroker) -> None:
    """A misspelt topic stays an error."""
    client = AdminClient({"bootstrap.servers": kafka_broker.bootstrap})
    assert client.list_topics("never-created", timeout=10).topics["never-created"].error is not None


def test_a_broker_comes_back_with_its_data(tmp_path: Path) -> None:
    """Same address, same records: after kill -9, after a stop in order, in another process."""
    with KafkaBroker(folder=tmp_path) as broker:
        address = broker.bootstrap
        discover_partitions(Settings(kafka_bootstrap=address, partitions=1))
        send(address, b"first")
        broker.kill()
        broker.start()
        send(address, b"second")
        broker.stop()
        broker.start()
        send(address, b"third")
    with KafkaBroker(folder=tmp_path) as broker:
        assert broker.bootstrap == address
        assert values(address, 3) == [b"first", b"second", b"third"]


def test_a_frozen_broker_says_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """It keeps its connections and answers none; awake again it goes on, frozen it can be ended."""
    with KafkaBroker(folder=tmp_path) as broker:
        discover_partitions(Settings(kafka_bootstrap=broker.bootstrap, partitions=1))
        broker.freeze()
        with pytest.raises(KafkaException):
            send(broker.bootstrap, b"into the void", timeout_s=1.5)
        broker.thaw()
        send(broker.bootstrap, b"heard")
        assert values(broker.bootstrap, 1)[0] in {b"into the void", b"heard"}
        broker.freeze()
        broker.stop()
        assert not broker.child.running


def test_data_that_another_broker_uses_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After waiting for as long as it might need to end."""
    monkeypatch.setattr(kafka, "STOP_TIMEOUT_S", 0.1)
    with (
        KafkaBroker(folder=tmp_path),
        pytest.raises(ServiceError, match="is in use by another Kafka broker"),
    ):
        KafkaBroker(folder=tmp_path)


def test_each_record_is_kept_by_three(cluster: KafkaCluster) -> None:
    """The topics of an installation, and all their partitions."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap})
    found = client.list_topics(timeout=10).topics
    replicas = {
        len(partition.replicas)
        for name in Topics("freshet").all()
        for partition in found[name].partitions.values()
    }
    assert replicas == {3}


def test_any_one_of_three_may_be_away(cluster: KafkaCluster) -> None:
    """With two away nothing is acknowledged, and what was is there when they are back."""
    first, second, third = cluster.brokers
    send(cluster.bootstrap, b"with three")
    third.kill()
    send(cluster.bootstrap, b"with two")
    third.start()
    first.kill()
    second.kill()
    with pytest.raises(KafkaException):
        send(cluster.bootstrap, b"with one", timeout_s=2)
    cluster.kill()
    cluster.start()
    assert values(cluster.bootstrap, 2) == [b"with three", b"with two"]
