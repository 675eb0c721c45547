"""What the processes must know of the cluster, and the topics they create in it."""

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from freshet.core.errors import ServiceError, SettingError
from freshet.core.events.cluster import (
    discover_partitions,
    existing_partitions,
    is_embedded,
    retention_ms,
)
from freshet.core.events.topics import DAY_MS, Topics
from freshet.core.settings import Settings

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    "name", ["settings", pytest.param("kafka_settings", marks=pytest.mark.kafka)]
)
def test_topics_are_there_after_asking(name: str, request: pytest.FixtureRequest) -> None:
    """Created where the broker allows it, four partitions on both brokers."""
    settings = request.getfixturevalue(name)
    assert discover_partitions(settings) == 4
    assert existing_partitions(settings) == 4


def test_the_in_process_broker_is_told_apart(settings: Settings) -> None:
    """It lets a fetch wait until the end, so that an idle worker must ask often."""
    assert is_embedded(settings)


@pytest.mark.kafka
def test_kafka_is_not_taken_for_the_in_process_broker(kafka_settings: Settings) -> None:
    """A fetch there is answered by the first record."""
    assert not is_embedded(kafka_settings)


@pytest.mark.kafka
def test_who_only_looks_creates_nothing(kafka_settings: Settings) -> None:
    """The sentence names a topic and the setting that may be wrong."""
    for _ in range(2):
        with pytest.raises(ServiceError, match=r"has no topic .*\.events; is FRESHET_NAMESPACE"):
            existing_partitions(kafka_settings)


@pytest.mark.kafka
def test_topics_that_differ_are_refused(kafka_settings: Settings) -> None:
    """A user must have one partition number everywhere."""
    topics = Topics(kafka_settings.namespace)
    _create(kafka_settings, {topics.events: 3, topics.catalog: 2})
    with pytest.raises(SettingError, match="same number"):
        discover_partitions(kafka_settings)


@pytest.mark.kafka
def test_a_missing_topic_is_as_wide_as_the_others(kafka_settings: Settings) -> None:
    """An installation may gain a topic after its setting has changed."""
    _create(kafka_settings, {Topics(kafka_settings.namespace).events: 3})
    assert discover_partitions(kafka_settings) == 3


@pytest.mark.kafka
def test_topics_are_kept_as_the_code_says(kafka_settings: Settings) -> None:
    """Whatever the cluster does by default."""
    discover_partitions(kafka_settings)
    topics = Topics(kafka_settings.namespace)
    found = {name: _config(kafka_settings, name) for name in topics.all()}
    for name, config in topics.all().items():
        assert {key: found[name][key] for key in config} == config
        assert found[name]["compression.type"] == "lz4"
        assert found[name]["min.insync.replicas"] == "1"
    assert found[topics.events]["retention.ms"] == str(7 * DAY_MS)
    assert found[topics.catalog]["cleanup.policy"] == "compact"


@pytest.mark.parametrize("look", [existing_partitions, discover_partitions])
def test_no_broker_is_a_sentence(look, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the address and the setting."""
    monkeypatch.setattr("freshet.core.events.cluster._REQUEST_S", 0.3)
    limit = {} if look is existing_partitions else {"timeout_s": 0.5}
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1 .*FRESHET_KAFKA_BOOTSTRAP"):
        look(Settings(kafka_bootstrap="127.0.0.1:1"), **limit)


def _config(settings: Settings, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    [described] = admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in described.result(10).items()}


def _create(settings: Settings, widths: dict[str, int]) -> None:
    """Create topics with so many partitions."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    wanted = [NewTopic(name, num_partitions=width) for name, width in widths.items()]
    for created in admin.create_topics(wanted).values():
        created.result()


@pytest.mark.kafka
def test_a_record_may_stay_as_long_as_its_segment(kafka_settings: Settings) -> None:
    """The retention of the topic and the age of a segment; a compacted topic has no end."""
    discover_partitions(kafka_settings)
    topics, week_ms = Topics(kafka_settings.namespace), 7 * DAY_MS
    assert retention_ms(kafka_settings, topics.events) == week_ms + week_ms
    assert retention_ms(kafka_settings, topics.dead_letters) == 30 * DAY_MS + week_ms
    assert retention_ms(kafka_settings, topics.catalog) is None
