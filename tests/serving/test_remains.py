"""What is left of an erased person, and until when."""

from __future__ import annotations

from freshet.core.errors import ServiceError
from freshet.core.events.topics import Topics
from serving.remains import Retention


async def test_each_topic_has_the_end_that_kafka_says() -> None:
    """None where it never ends, and where Kafka does not say; nothing fails for that."""

    def ask(topic: str) -> int | None:
        if topic.endswith("slates"):
            raise ServiceError("kafka", "down")
        return {"test.events": 500, "test.dead-letters": None}[topic]

    found = await Retention(Topics("test"), ask).remains(10_000)
    ends = {each.place: each.until_ts_ms for each in found}
    assert ends["Kafka topic test.events"] == 10_500
    assert ends["Kafka topic test.slates"] is None
    assert ends["Kafka topic test.dead-letters"] is None
    assert len(found) == 5
