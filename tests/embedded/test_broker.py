"""The broker of librdkafka in a process of its own."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from freshet.embedded.broker import PARTITIONS, EmbeddedBroker

pytestmark = pytest.mark.services


def test_a_topic_is_created_by_its_name(embedded_broker: EmbeddedBroker) -> None:
    """Asking for a topic creates it, as wide as the module says."""
    client = AdminClient({"bootstrap.servers": embedded_broker.bootstrap})
    topic = client.list_topics("broker-created", timeout=10).topics["broker-created"]
    assert topic.error is None
    assert len(topic.partitions) == PARTITIONS


def test_what_one_client_produces_another_reads(embedded_broker: EmbeddedBroker) -> None:
    """Records keep their order and their partition."""
    producer = Producer(
        {"bootstrap.servers": embedded_broker.bootstrap, "enable.idempotence": True}
    )
    for number in range(3):
        producer.produce("broker-read", value=b"%d" % number, partition=2)
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": embedded_broker.bootstrap, "group.id": "g"})
    consumer.assign([TopicPartition("broker-read", 2, 0)])
    found = consumer.consume(3, timeout=10)
    consumer.close()
    assert [(record.offset(), record.value()) for record in found] == [
        (0, b"0"),
        (1, b"1"),
        (2, b"2"),
    ]


def test_a_stopped_broker_leaves_nothing(tmp_path) -> None:
    """After stop neither process nor folder is left."""
    broker = EmbeddedBroker(log=tmp_path / "broker.log")
    broker.stop()
    assert not broker.child.running
    broker.stop()
