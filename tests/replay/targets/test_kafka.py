"""Straight into Kafka: what no worker or broker would take is named, the rest is sent."""

from typing import Any

import pytest

from freshet.core.events.schema import MAX_EVENT_BYTES, Event, Item
from replay.targets import kafka
from replay.targets.kafka import KafkaTarget

T = 1_764_000_000_000


class _Producer:
    """Writes down what it is to send."""

    def __init__(self, _bootstrap: str, **options: Any) -> None:
        self.options = options
        self.sent: list[bytes] = []

    def send(self, _topic: str, _partition: int, raw: bytes, *, key: bytes) -> None:
        self.sent.append(key)


def _target(monkeypatch: pytest.MonkeyPatch, **options: int) -> tuple[KafkaTarget, _Producer]:
    monkeypatch.setattr(kafka, "EventProducer", _Producer)
    target = KafkaTarget("nowhere:1", "ns", 4, **options)
    return target, target._producer  # type: ignore[return-value]


def _event(user: str, size: int = 1) -> Event:
    return Event(event_id="e", type="view", user_id=user, item_id="i", ts_ms=T,
                 context={"x": "y" * size})  # fmt: skip


def test_what_is_too_large_is_named_and_those_behind_it_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A megabyte, and what a worker would make a dead letter of."""
    target, producer = _target(monkeypatch)
    events = [_event("a"), _event("b", 1_100_000), _event("c", MAX_EVENT_BYTES), _event("d")]
    sent = target.send(events)
    assert [at for at, _ in sent.refused] == [1, 2]
    assert all(reason.startswith("too_large: ") for _, reason in sent.refused)
    assert producer.sent == [b"a", b"d"]
    assert sent.largest_bytes < 200
    assert [at for at, _ in target.put_items([Item(item_id="x", attributes={"a": "y" * 17_000})])]


def test_a_broker_that_takes_less_gets_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it would never take is not sent to it."""
    target, producer = _target(monkeypatch, max_record_bytes=2_000)
    assert producer.options["max_batch_bytes"] == 2_000
    sent = target.send([_event("a", 2_000), _event("b")])
    assert [at for at, _ in sent.refused] == [0]
    assert "max.message.bytes" in sent.refused[0].reason
    assert producer.sent == [b"b"]
