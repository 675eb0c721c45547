"""The ends of a log are asked for until its leader is known."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from freshet.core.events.watermarks import watermarks

PLACE = TopicPartition("events", 0)


class Answering:
    """A consumer that gets these errors, and then what it asked for."""

    def __init__(self, *codes: int) -> None:
        self.left = list(codes)

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert (place, timeout > 0) == (PLACE, True)
        if self.left:
            raise KafkaException(KafkaError(self.left.pop(0)))
        return (3, 5)


@pytest.mark.parametrize(
    "codes",
    [(), (KafkaError.NOT_LEADER_FOR_PARTITION,) * 2, (KafkaError.LEADER_NOT_AVAILABLE,)],
)
def test_a_leader_that_is_only_being_made_known_is_asked_again(codes: tuple[int, ...]) -> None:
    """As after a topic was created."""
    consumer: Any = Answering(*codes)
    assert watermarks(consumer, PLACE, 5.0) == (3, 5)
    assert consumer.left == []


@pytest.mark.parametrize(
    ("code", "timeout_s"),
    [(KafkaError._TRANSPORT, 5.0), (KafkaError.UNKNOWN_TOPIC_OR_PART, 5.0),
     (KafkaError.NOT_LEADER_FOR_PARTITION, 1e-9)],
)  # fmt: skip
def test_what_does_not_pass_in_time_is_raised(code: int, timeout_s: float) -> None:
    """At once, and with the brokers' own words."""
    consumer: Any = Answering(code)
    with pytest.raises(KafkaException) as raised:
        watermarks(consumer, PLACE, timeout_s)
    assert raised.value.args[0].code() == code
