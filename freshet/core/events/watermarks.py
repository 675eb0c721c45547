"""Where the log of a partition begins and ends, asked of its leader.

A broker that has just become the leader of a partition may not know it yet, and says so: of a new
topic, and whenever another broker takes over. That passes, so it is asked again.
"""

from __future__ import annotations

import time
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_PASSING: Final = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
_AGAIN_S: Final = 0.05


def watermarks(consumer: Consumer, place: TopicPartition, timeout_s: float) -> tuple[int, int]:
    """Return the offset of the oldest record of a partition, and the one behind its newest.

    Raises:
        KafkaException: no leader says so in time, or the error is one that does not pass.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found: Any = consumer.get_watermark_offsets(place, timeout=timeout_s)
            return int(found[0]), int(found[1])
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() >= deadline:
                raise
        time.sleep(_AGAIN_S)
