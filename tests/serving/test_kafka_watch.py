"""Whether there is room on the way to Kafka."""

from __future__ import annotations

import logging

import pytest

from freshet.core.errors import ServiceError
from serving.kafka_watch import FAILURES, KafkaWatch


def watch(waiting: int = 0, *, failures: int = 0) -> KafkaWatch:
    """Return a watch that takes up to 100 bytes."""
    return KafkaWatch(lambda: True, lambda: waiting, 100, failures=failures)


def test_what_waits_is_bounded_in_bytes() -> None:
    """Up to the bound it is taken, from the bound on it is refused, and says so."""
    watch(99).require_room()
    with pytest.raises(ServiceError, match=r"100 bytes wait .*FRESHET_INTAKE_MIB"):
        watch(100).require_room()


def test_one_slow_reply_is_no_fault_and_two_are(caplog: pytest.LogCaptureFixture) -> None:
    """What changed is logged once."""
    kafka = watch()
    with caplog.at_level(logging.WARNING):
        kafka.note(False)
        kafka.require_room()
        for _ in range(3):
            kafka.note(False)
        with pytest.raises(ServiceError, match="does not answer"):
            kafka.require_room()
        kafka.note(True)
        kafka.note(True)
    kafka.require_room()
    assert len(caplog.messages) == 2


def test_a_server_that_started_without_kafka_waits_for_its_first_reply() -> None:
    """It is away from the start."""
    kafka = watch(failures=FAILURES)
    assert kafka.away
    kafka.note(True)
    assert not kafka.away
