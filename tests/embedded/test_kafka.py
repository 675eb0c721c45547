"""Apache Kafka from its jars."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from freshet.embedded.kafka import KafkaBroker

pytestmark = [pytest.mark.services, pytest.mark.kafka]


def test_topics_are_not_created_by_being_named(kafka_broker: KafkaBroker) -> None:
    """A misspelt topic stays an error."""
    client = AdminClient({"bootstrap.servers": kafka_broker.bootstrap})
    assert client.list_topics("never-created", timeout=10).topics["never-created"].error is not None


def test_a_killed_broker_comes_back_with_its_data(tmp_path) -> None:
    """Same address, same records, after kill -9."""
    with KafkaBroker(folder=tmp_path) as broker:
        client = AdminClient({"bootstrap.servers": broker.bootstrap})
        client.create_topics([NewTopic("kept", num_partitions=1)])["kept"].result(10)
        producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
        producer.produce("kept", value=b"before", partition=0)
        assert producer.flush(10) == 0
        broker.kill()
        broker.start()
        producer.produce("kept", value=b"after", partition=0)
        assert producer.flush(20) == 0
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g"})
        consumer.assign([TopicPartition("kept", 0, 0)])
        found = consumer.consume(2, timeout=20)
        consumer.close()
    assert [record.value() for record in found] == [b"before", b"after"]
